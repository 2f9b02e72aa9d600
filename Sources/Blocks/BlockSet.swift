// SPDX-License-Identifier: Apache-2.0

/// A set of blocks as sorted ranges that neither overlap nor touch.
public struct BlockSet: Sendable, Equatable {
    public private(set) var ranges: [BlockRange] = []

    public init() {}

    /// Adds a range that starts at or after the start of the last one.
    public mutating func append(_ range: BlockRange) {
        if range.isEmpty { return }
        guard let last = ranges.last, range.start <= last.end else { return ranges.append(range) }
        precondition(range.start >= last.start, "ranges come in order")
        ranges[ranges.count - 1] = BlockRange(start: last.start, count: max(last.end, range.end) - last.start)
    }

    public var blockCount: UInt64 { ranges.reduce(0) { $0 + UInt64($1.count) } }

    /// Index of the first range that ends after the block.
    private func first(endingAfter block: UInt32) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].end > block { high = middle } else { low = middle + 1 }
        }
        return low
    }

    public func intersects(_ range: BlockRange) -> Bool {
        let index = first(endingAfter: range.start)
        return !range.isEmpty && index < ranges.count && ranges[index].start < range.end
    }

    /// The parts of the range that are in the set, in order.
    public func parts(of range: BlockRange) -> [BlockRange] {
        var result: [BlockRange] = []
        var index = first(endingAfter: range.start)
        while index < ranges.count, ranges[index].start < range.end {
            result.append(ranges[index].intersection(range))
            index += 1
        }
        return result
    }
}

extension BlockMap {
    /// The blocks that hold something else than in an earlier map, as far as chunks tell: equal bytes in two
    /// chunks count as different.
    public func blocks(changedSince earlier: BlockMap) -> BlockSet {
        var changed = BlockSet()
        var block: UInt32 = 0
        var (index, old) = (0, 0)
        let end = max(blockCount, earlier.blockCount)
        while block < end {
            let mine = content(at: block, &index)
            let other = earlier.content(at: block, &old)
            let next = min(mine.end, other.end, end)
            if mine.piece != other.piece {
                changed.append(BlockRange(start: block, count: next - block))
            }
            block = next
        }
        return changed
    }

    private struct Piece: Equatable {
        let chunk: ChunkDescriptor
        /// Block of the volume at which the chunk starts, or would start; equal for equal content.
        let origin: Int64
    }

    /// What the block holds, nil for a hole, and where that ends; `index` goes forward only.
    private func content(at block: UInt32, _ index: inout Int) -> (piece: Piece?, end: UInt32) {
        while index < extents.count, extents[index].range.end <= block { index += 1 }
        guard index < extents.count else { return (nil, .max) }
        let extent = extents[index]
        if extent.start > block { return (nil, extent.start) }
        let origin = Int64(extent.start) - Int64(extent.offset)
        return (Piece(chunk: chunks[Int(extent.chunk)], origin: origin), extent.range.end)
    }

    /// The chunk of a block and the block's place in it; nil for a hole.
    public func chunk(at block: UInt32) -> (chunk: ChunkDescriptor, offset: UInt8)? {
        let index = firstExtent(endingAfter: block)
        guard index < extents.count, extents[index].start <= block else { return nil }
        let extent = extents[index]
        return (chunks[Int(extent.chunk)], extent.offset + UInt8(block - extent.start))
    }
}
