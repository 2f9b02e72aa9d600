// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
public import ChunkStore
import Glibc
import Synchronization

/// A writable block file: a parent snapshot and a delta with the blocks that differ from it.
///
/// Every method may be called from any thread. Reads and aligned writes run side by side; unaligned writes,
/// `resize` and the moment of a snapshot have the volume to themselves.
public final class Volume: Sendable {
    /// What lies under the file right now; changes only while the gate is held exclusively.
    struct Layers {
        let delta: Delta
        let parent: Snapshot?
        /// Nil unless first touches are being recorded.
        var recorder: TouchRecorder?
    }

    /// The same without counted references: whoever holds the gate needs none.
    private struct Borrowed {
        let delta: Unmanaged<Delta>
        let parent: Unmanaged<Snapshot>?
        let isRecorded: Bool

        init(_ layers: Layers) {
            delta = .passUnretained(layers.delta)
            parent = layers.parent.map { .passUnretained($0) }
            isRecorded = layers.recorder != nil
        }
    }

    public let name: String
    /// Names the volume for as long as it lives; never used again.
    public let id: UInt64
    let created: Int64
    /// Nobody wants it back after the daemon's end, so nothing of it is flushed.
    public let isEphemeral: Bool
    /// The name that the parent snapshot had at the time of the clone; empty for a volume made of zeros.
    public let parentImage: String
    let chunks: ChunkStore
    let catalog: Catalog

    let gate = ReadWriteLock()
    nonisolated(unsafe) var layers: Layers {
        didSet { borrowed = Borrowed(layers) }
    }
    nonisolated(unsafe) private var borrowed: Borrowed
    private let size: Atomic<UInt64>

    /// The parent once more, for those who must not wait for the gate.
    let parentForCollection: Lock<Snapshot?>

    init(_ row: VolumeRow, _ registry: Registry, delta: Delta, parent: Snapshot?) {
        name = row.name
        id = row.id
        created = row.created
        isEphemeral = row.isEphemeral
        parentImage = row.parentImage
        chunks = registry.chunks
        catalog = registry.catalog
        let layers = Layers(delta: delta, parent: parent)
        self.layers = layers
        borrowed = Borrowed(layers)
        parentForCollection = Lock(parent)
        size = Atomic(UInt64(delta.blockCount) * UInt64(Block.bytes))
    }

    /// The length of the file, a multiple of the block size.
    public var sizeBytes: UInt64 { size.load(ordering: .acquiring) }

    /// Bytes of blocks that differ from the parent, zeroed ones included.
    public var dirtyBytes: UInt64 {
        gate.reading { UInt64(layers.delta.states.ownedCount) * UInt64(Block.bytes) }
    }

    /// Why it cannot be used; nil when it can.
    public var brokenReason: String? {
        gate.reading { layers.delta.brokenReason ?? layers.parent?.brokenReason }
    }

    // MARK: Reading

    /// Finds where bytes lie and calls `body` with the pieces in order; they stay valid inside `body` only.
    ///
    /// Short at the end of the file. For whoever reads much, as `scratch` is used again; what is read counts
    /// as touched. Errors: `.broken`.
    public func withSegments<T>(
        offset: UInt64, count: Int, using scratch: inout SegmentScratch, _ body: (SegmentView) -> T
    ) throws(VolumeError) -> T {
        try gate.reading { () throws(VolumeError) -> T in
            let span = ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes)
            if borrowed.isRecorded { noteTouches(span.blocks) }
            return try withSegmentsInGate(span, &scratch, body)
        }
    }

    /// As the other one, for those who read once in a while; what they read does not count as touched.
    public func withSegments<T>(
        offset: UInt64, count: Int, _ body: ([Segment]) -> T
    ) throws(VolumeError) -> T {
        var scratch = SegmentScratch()
        return try gate.reading { () throws(VolumeError) -> T in
            let span = ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes)
            return try withSegmentsInGate(span, &scratch) { body(Array($0.segments)) }
        }
    }

    func withSegmentsInGate<T>(
        _ span: ByteSpan, _ scratch: inout SegmentScratch, _ body: (SegmentView) -> T
    ) throws(VolumeError) -> T {
        let borrowed = borrowed
        return try chunks.withStableSlots { () throws(VolumeError) -> T in
            defer { scratch.reset() }
            if let failure = Self.append(span.blocks, borrowed, &scratch) { throw failure }
            return scratch.view(span, body)
        }
    }

    private static func append(
        _ range: BlockRange, _ layers: Borrowed, _ scratch: inout SegmentScratch
    ) -> VolumeError? {
        layers.delta._withUnsafeGuaranteedRef { delta in
            guard let parent = layers.parent else { return append(range, delta, nil, &scratch) }
            return parent._withUnsafeGuaranteedRef { append(range, delta, $0, &scratch) }
        }
    }

    private static func append(
        _ range: BlockRange, _ delta: Delta, _ parent: Snapshot?, _ scratch: inout SegmentScratch
    ) -> VolumeError? {
        do throws(VolumeError) {
            try delta.appendSegments(for: range, below: parent, to: &scratch)
            return nil
        } catch {
            return error
        }
    }

    /// Tells the recorder which of the blocks come from the image.
    func noteTouches(_ range: BlockRange) {
        guard let recorder = layers.recorder, recorder.isRecording else { return }
        let delta = layers.delta
        let end = min(range.end, delta.belowLimit(layers.parent))
        var block = range.start
        while block < end {
            let run = delta.states.ownedRun(from: block, to: end)
            if !run.isOwned { recorder.note(BlockRange(start: block, count: run.end - block)) }
            block = run.end
        }
    }

    /// The first offset at or after `offset` that may hold something else than zeros; nil when there is none.
    public func seekData(from offset: UInt64) throws(VolumeError) -> UInt64? {
        try gate.reading { () throws(VolumeError) -> UInt64? in
            try Seek.data(from: offset, sizeBytes: sizeBytes) { (block, limit) throws(VolumeError) in
                try layers.delta.nextData(from: block, to: limit, below: layers.parent)
            }
        }
    }

    /// The first offset at or after `offset` in a hole, the end of the file if there is none before it; nil
    /// past the end.
    public func seekHole(from offset: UInt64) throws(VolumeError) -> UInt64? {
        try gate.reading { () throws(VolumeError) -> UInt64? in
            try Seek.hole(from: offset, sizeBytes: sizeBytes) { (block, limit) throws(VolumeError) in
                try layers.delta.nextHole(from: block, to: limit, below: layers.parent)
            }
        }
    }

    // MARK: Length

    /// Changes the length.
    ///
    /// What a shorter file loses is gone: growing again shows zeros there.
    ///
    /// Errors: `.invalidRange` unless the length is a multiple of the block size, at most 16 TiB less one
    /// block.
    public func resize(to sizeBytes: UInt64) throws(VolumeError) {
        let blockCount = try Self.blockCount(name, sizeBytes: sizeBytes)
        try gate.writing { () throws(VolumeError) in
            try layers.delta.resize(to: blockCount)
            size.store(sizeBytes, ordering: .releasing)
        }
    }

    static func blockCount(_ name: String, sizeBytes: UInt64) throws(VolumeError) -> UInt32 {
        let blocks = sizeBytes / UInt64(Block.bytes)
        if sizeBytes % UInt64(Block.bytes) != 0 || blocks == 0 {
            throw .invalidRange(
                name, reason: "a size of \(sizeBytes) bytes; give a multiple of \(Block.bytes)")
        }
        if blocks >= UInt64(UInt32.max) {
            throw .invalidRange(name, reason: "a size of \(sizeBytes) bytes; the largest volume has 16 TiB")
        }
        return UInt32(blocks)
    }

    // MARK: Durability

    /// Returns once everything that was written before the call survives a power cut.
    ///
    /// Calls from several threads share their flushes. After a failed flush every further call fails too:
    /// Linux forgets which pages it could not write, so a later success would promise what is not so.
    /// An ephemeral volume is not there after a power cut: nothing is flushed.
    public func synchronize() throws(VolumeError) {
        if isEphemeral { return }
        // Not under the gate: a flush must not hold up a snapshot, nor wait for one. A delta that is frozen
        // meanwhile has been flushed by the snapshot.
        let delta = gate.reading { layers.delta }
        try delta.synchronize(name, catalog)
    }
}
