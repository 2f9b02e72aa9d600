// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks
import Synchronization

/// What was counted when, so that it need not be counted again while nothing changes.
struct PresenceCount {
    /// `StoreCore.changes` before the count.
    var changes = UInt64.max
    var blocks: UInt64 = 0
}

extension ResidentMap {
    /// All chunks of the map, present or absent, in the map's order.
    ///
    /// The handles are valid as long as the map lives.
    public var chunks: [ChunkHandle] { chunkHandles().map(ChunkHandle.init(index:)) }

    /// Calls `body` for each piece of a chunk in the range, in order.
    ///
    /// It gets the chunk, which may come several times, the piece's blocks in the volume, and the first of
    /// them within the chunk.
    public func forEachPiece<E: Error>(
        in range: BlockRange,
        _ body: (_ chunk: ChunkHandle, _ blocks: BlockRange, _ firstInChunk: UInt8) throws(E) -> Void
    ) throws(E) {
        var index = firstExtent(endingAfter: range.start)
        while index < extentCount, extents[index].start < range.end {
            let extent = extents[index]
            let start = max(extent.start, range.start)
            let end = min(extent.end, range.end)
            try body(
                ChunkHandle(index: extent.handle), BlockRange(start: start, count: end - start),
                UInt8(extent.offset + (start - extent.start)))
            index += 1
        }
    }

    /// Calls `body` for each piece of a chunk in the range, in order; a chunk may come several times.
    public func forEachChunk<E: Error>(
        in range: BlockRange, _ body: (ChunkHandle, BlockRange) throws(E) -> Void
    ) throws(E) {
        try forEachPiece(in: range) { (chunk, blocks, _) throws(E) in try body(chunk, blocks) }
    }

    /// The chunks that a read of the range would wait for, each once, in the order in which they come.
    public func absentHandles(in range: BlockRange) -> [ChunkHandle] {
        var absent: [ChunkHandle] = []
        var seen: Set<UInt32> = []
        let slots = store.core.slots
        forEachPiece(in: range) { chunk, _, _ in
            if !slots[chunk.index].isPresent, seen.insert(chunk.index).inserted { absent.append(chunk) }
        }
        return absent
    }

    /// Bytes that can be read without fetching, of the `mappedBlockCount` blocks that are not holes.
    ///
    /// Counted, by a walk over the extents, when something has changed in the store since the last call.
    public var presentBytes: UInt64 {
        presence.withLock { count in
            let changes = store.core.changes.load(ordering: .acquiring)
            if count.changes == changes { return count.blocks * UInt64(Block.bytes) }
            let slots = store.core.slots
            var blocks: UInt64 = 0
            for index in 0..<extentCount where slots[extents[index].handle].isPresent {
                blocks += UInt64(extents[index].count)
            }
            count = PresenceCount(changes: changes, blocks: blocks)
            return blocks * UInt64(Block.bytes)
        }
    }

    /// True when every chunk of the map is here.
    public var isComplete: Bool { presentBytes == mappedBlockCount * UInt64(Block.bytes) }
}
