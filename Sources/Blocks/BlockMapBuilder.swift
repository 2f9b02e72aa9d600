// SPDX-License-Identifier: Apache-2.0

import Base

/// Collects extents in any order and makes the one canonical map of them.
public struct BlockMapBuilder: Sendable {
    private struct Piece {
        var start: UInt32
        var count: UInt8
        var offset: UInt8
        var chunk: UInt32
    }

    private let blockCount: UInt32
    private var pieces: [Piece] = []
    private var chunks: [ChunkDescriptor] = []
    private var indexes: [ChunkDescriptor: UInt32] = [:]

    public init(blockCount: UInt32) {
        self.blockCount = blockCount
    }

    /// Maps blocks from `start` on to blocks of a chunk.
    /// - Precondition: the blocks lie in the volume and in the chunk, and no other piece has them.
    public mutating func add(start: UInt32, chunk: ChunkDescriptor, offset: UInt8 = 0, count: UInt8) {
        precondition(count > 0 && offset + count <= chunk.blockCount, "the piece lies within its chunk")
        precondition(UInt64(start) + UInt64(count) <= UInt64(blockCount), "the piece lies within the volume")
        let index = indexes[chunk] ?? UInt32(chunks.count)
        if index == UInt32(chunks.count) {
            indexes[chunk] = index
            chunks.append(chunk)
        }
        pieces.append(Piece(start: start, count: count, offset: offset, chunk: index))
    }

    /// Sorts, joins what touches, and numbers the chunks by first use.
    public consuming func finish() -> BlockMap {
        pieces.sort { $0.start < $1.start }
        var renumbered = [UInt32](repeating: .max, count: chunks.count)
        var ordered: [ChunkDescriptor] = []
        var extents: [Extent] = []
        extents.reserveCapacity(pieces.count)
        for piece in pieces {
            if renumbered[Int(piece.chunk)] == .max {
                renumbered[Int(piece.chunk)] = UInt32(ordered.count)
                ordered.append(chunks[Int(piece.chunk)])
            }
            let extent = Extent(
                start: piece.start, count: piece.count, chunk: renumbered[Int(piece.chunk)],
                offset: piece.offset)
            guard let last = extents.last else {
                extents.append(extent)
                continue
            }
            precondition(
                last.range.end <= extent.start, "two pieces of a block map overlap at block \(extent.start)")
            if last.isContinued(by: extent) {
                extents[extents.count - 1] = Extent(
                    start: last.start, count: last.count + extent.count, chunk: last.chunk,
                    offset: last.offset)
            } else {
                extents.append(extent)
            }
        }
        return BlockMap(blockCount: blockCount, chunks: ordered, extents: extents)
    }
}

extension BlockMap {
    /// This map with some blocks replaced: what a snapshot of a changed volume holds.
    /// - Parameters:
    ///   - blockCount: the length of the new volume; blocks beyond it are dropped.
    ///   - replaced: ranges, sorted and apart, whose old content goes away.
    ///   - pieces: the new content, all of it inside `replaced`; what they do not cover reads as zeros.
    public func replacing(
        blockCount: UInt32, _ replaced: [BlockRange],
        with pieces: [(start: UInt32, chunk: ChunkDescriptor, offset: UInt8, count: UInt8)]
    ) -> BlockMap {
        var builder = BlockMapBuilder(blockCount: blockCount)
        var block: UInt32 = 0
        let limit = min(blockCount, self.blockCount)
        for range in replaced + [BlockRange(start: limit, count: 0)] where block < limit {
            keep(BlockRange(start: block, count: max(block, min(range.start, limit)) - block), in: &builder)
            block = max(block, range.end)
        }
        for piece in pieces {
            builder.add(start: piece.start, chunk: piece.chunk, offset: piece.offset, count: piece.count)
        }
        return builder.finish()
    }

    private func keep(_ range: BlockRange, in builder: inout BlockMapBuilder) {
        forEachPiece(in: range) { _, extent in
            guard let extent else { return }
            builder.add(
                start: extent.start, chunk: chunks[Int(extent.chunk)], offset: extent.offset,
                count: extent.count)
        }
    }
}
