// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks

/// Figures of the whole store, for `df` and metrics.
public struct ChunkStoreStatistics: Sendable, Equatable {
    /// Chunks that are stored.
    public var chunks = 0
    /// Plain bytes of those chunks: what the store holds, each chunk once.
    public var plainBytes: UInt64 = 0
    /// Bytes that the arena files really take on their file system.
    public var allocatedBytes: UInt64 = 0
    /// References that resident maps and sessions hold.
    public var references: UInt64 = 0
    /// Chunks that nothing refers to at the moment; `collectUnreferenced` frees them.
    public var unreferencedChunks = 0
    /// Arena files.
    public var arenas = 0
    /// Bytes of the index log.
    public var indexBytes: UInt64 = 0
}

/// Where the bytes of a piece of a volume lie.
public struct Segment: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// Nothing is stored; the bytes are zeros.
        case zeros
        /// Bytes of an open file from `offset` on; valid inside `withStableSlots` only.
        case file(descriptor: Int32, offset: UInt64)
    }

    public let source: Source
    public let byteCount: Int

    @inlinable
    public init(source: Source, byteCount: Int) {
        self.source = source
        self.byteCount = byteCount
    }
}

/// A stored chunk, valid while somebody holds a reference on it.
public struct ChunkHandle: Hashable, Sendable {
    public let index: UInt32
}

public final class ChunkStore: Sendable {
    @usableFromInline let stability = ReadWriteLock()

    public init(directory: String) throws(ChunkStoreError) {}

    public func beginIngest() -> IngestSession { IngestSession() }

    public func attach(_ map: BlockMap) throws(ChunkStoreError) -> ResidentMap { ResidentMap(map) }

    /// Frees every chunk that no resident map and no session refers to.
    ///
    /// A reference count that falls to zero frees nothing by itself, since maps also go away when the program
    /// ends. Call this when every live map is attached: once after start, and after each removal of an image or
    /// a volume (it only looks at chunks whose count has fallen to zero since the last call).
    @discardableResult
    public func collectUnreferenced() -> (chunks: Int, bytes: UInt64) { (0, 0) }

    public func statistics() -> ChunkStoreStatistics { ChunkStoreStatistics() }

    public func contains(_ chunk: ChunkDescriptor) -> Bool { false }

    public func read(_ chunk: ChunkDescriptor) throws(ChunkStoreError) -> [UInt8] {
        throw .missingChunk(chunk.digest)
    }

    /// Runs `body` while no slot can be freed under it: every read of a `Segment` must lie inside.
    /// Not to be nested.
    @inlinable
    public func withStableSlots<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        try stability.reading(body)
    }
}

public final class ResidentMap: Sendable {
    /// The map that was attached; built anew from the compact form at each call, so keep it if it is used twice.
    public let map: BlockMap
    init(_ map: BlockMap) { self.map = map }

    public var blockCount: UInt32 { map.blockCount }
    public var sizeBytes: UInt64 { map.sizeBytes }
    public var mappedBlockCount: UInt64 { map.mappedBlockCount }

    public func appendSegments(for range: BlockRange, to segments: inout [Segment]) {}

    /// First block at or after `block` that is not a hole; nil when there is none.
    public func nextMapped(from block: UInt32) -> UInt32? { nil }
    /// First block at or after `block` that is a hole; `blockCount` when there is none.
    public func nextHole(from block: UInt32) -> UInt32 { blockCount }
}

public final class IngestSession: @unchecked Sendable {
    public var newChunks: Int { 0 }
    public var newBytes: UInt64 { 0 }
    public var sharedChunks: Int { 0 }
    public var sharedBytes: UInt64 { 0 }

    public func add(_ bytes: UnsafeRawBufferPointer) throws(ChunkStoreError) -> ChunkDescriptor? { nil }

    /// Like `add`, hashing on other threads: returns a ticket, the index of the result in `descriptors()`.
    public func addLater(_ bytes: UnsafeRawBufferPointer) throws(ChunkStoreError) -> Int { 0 }

    /// The results of all `addLater` calls so far, by ticket; nil for a hole. Waits for those under way.
    public func descriptors() throws(ChunkStoreError) -> [ChunkDescriptor?] { [] }

    public func commit() throws(ChunkStoreError) {}
    public func release() {}
}
