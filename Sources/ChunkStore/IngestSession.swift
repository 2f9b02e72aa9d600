// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// A series of chunks that enter the store together, such as one image.
///
/// The session holds a reference on each chunk it was given, until `release`. Chunks lie in the order in
/// which they were added. Writes happen behind the caller's back in large pieces; a failed one is reported by
/// a later call, at the latest by `commit`. To be used by one thread at a time.
public final class IngestSession: @unchecked Sendable {
    // Unchecked because: `batch` and `ended` belong to the one thread that uses the session; the rest is
    // locked.

    private let store: ChunkStore
    private let pipeline: IngestPipeline
    private var batch: IngestBatch
    private var usesThreads = false
    private var ended = false

    init(_ store: ChunkStore) {
        self.store = store
        pipeline = IngestPipeline(store.core)
        batch = pipeline.makeBatch()
    }

    deinit {
        release()
    }

    /// Chunks that the store did not have.
    ///
    /// This and the other figures lag behind `add` by up to some megabytes and are exact after `commit`.
    public var newChunks: Int { pipeline.counters.newChunks }
    /// Plain bytes of those chunks.
    public var newBytes: UInt64 { pipeline.counters.newBytes }
    /// Chunks that the store had, or that this session had added before.
    public var sharedChunks: Int { pipeline.counters.sharedChunks }
    /// Plain bytes of those chunks.
    public var sharedBytes: UInt64 { pipeline.counters.sharedBytes }

    /// Adds a chunk and returns its name; nil when every byte is zero, which is a hole and is not stored.
    /// - Precondition: `bytes` are 1 to 16 whole blocks.
    public func add(_ bytes: UnsafeRawBufferPointer) throws(ChunkStoreError) -> ChunkDescriptor? {
        try prepare(bytes)
        if isZero(bytes) { return nil }
        let digest = Digest(hashing: bytes)
        try append(bytes, digest: digest, ticket: nil)
        return ChunkDescriptor(digest: digest, blockCount: UInt8(bytes.count / Block.bytes))
    }

    /// Adds a chunk that other threads hash; returns the place of its name in `descriptors()`.
    /// - Precondition: `bytes` are 1 to 16 whole blocks. They are copied before the call returns.
    public func addLater(_ bytes: UnsafeRawBufferPointer) throws(ChunkStoreError) -> Int {
        try prepare(bytes)
        let ticket = pipeline.makeTicket()
        if isZero(bytes) { return ticket }
        if !usesThreads {
            try pipeline.startThreads()
            usesThreads = true
        }
        try append(bytes, digest: nil, ticket: ticket)
        return ticket
    }

    /// The names of all chunks that were given to `addLater`, by ticket; nil for a hole.
    ///
    /// Waits for those under way.
    public func descriptors() throws(ChunkStoreError) -> [ChunkDescriptor?] {
        try finishWriting()
        return pipeline.results()
    }

    /// Makes every chunk of this session durable, data before index.
    ///
    /// More may be added and committed afterwards. After a failure the session has ended, and nothing that it
    /// stored since the last commit may be relied on.
    public func commit() throws(ChunkStoreError) {
        try finishWriting()
        try pipeline.commit()
    }

    /// Drops the session's references and ends it.
    ///
    /// Chunks that nobody else refers to are freed: those that were committed at the next collection, others
    /// at once. A second call does nothing.
    public func release() {
        if ended { return }
        ended = true
        pipeline.end()
    }

    private func prepare(_ bytes: UnsafeRawBufferPointer) throws(ChunkStoreError) {
        precondition(
            !bytes.isEmpty && bytes.count % Block.bytes == 0 && bytes.count <= Block.maximumChunkBytes,
            "a chunk has 1 to 16 whole blocks")
        if ended { throw .sessionEnded }
    }

    private func append(
        _ bytes: UnsafeRawBufferPointer, digest: Digest?, ticket: Int?
    ) throws(ChunkStoreError) {
        if !batch.hasRoom(for: bytes.count) { try submit() }
        batch.append(bytes, digest: digest, ticket: ticket)
    }

    private func submit() throws(ChunkStoreError) {
        if batch.isEmpty { return }
        let full = batch
        batch = pipeline.makeBatch()
        try pipeline.submit(full)
    }

    private func finishWriting() throws(ChunkStoreError) {
        if ended { throw .sessionEnded }
        try submit()
        try pipeline.drain()
    }
}
