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
        var delta: Delta
        var parent: Snapshot?
    }

    public let name: String
    /// Names the volume for as long as it lives; never used again.
    public let id: UInt64
    let created: Int64
    let parentImage: String
    let chunks: ChunkStore
    let catalog: Catalog

    let gate = ReadWriteLock()
    nonisolated(unsafe) var layers: Layers
    private let size: Atomic<UInt64>

    /// The parent once more, for those who must not wait for the gate.
    let parentForCollection: Lock<Snapshot?>

    init(_ row: VolumeRow, _ registry: Registry, delta: Delta, parent: Snapshot?) {
        name = row.name
        id = row.id
        created = row.created
        parentImage = row.parentImage
        chunks = registry.chunks
        catalog = registry.catalog
        layers = Layers(delta: delta, parent: parent)
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
    /// Short at the end of the file. Errors: `.broken`.
    public func withSegments<T>(
        offset: UInt64, count: Int, _ body: ([Segment]) -> T
    ) throws(VolumeError) -> T {
        try gate.reading { () throws(VolumeError) -> T in
            try withSegmentsInGate(ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes), body)
        }
    }

    func withSegmentsInGate<T>(_ span: ByteSpan, _ body: ([Segment]) -> T) throws(VolumeError) -> T {
        var segments: [Segment] = []
        var holders: [AnyObject] = []
        let layers = self.layers
        return try chunks.withStableSlots { () throws(VolumeError) -> T in
            try layers.delta.appendSegments(
                for: span.blocks, below: layers.parent, to: &segments, holding: &holders)
            span.trim(&segments)
            return withExtendedLifetime(holders) { body(segments) }
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
    public func synchronize() throws(VolumeError) {
        // Not under the gate: a flush must not hold up a snapshot, nor wait for one. A delta that is frozen
        // meanwhile has been flushed by the snapshot.
        let delta = gate.reading { layers.delta }
        try delta.synchronize(name, catalog)
    }
}
