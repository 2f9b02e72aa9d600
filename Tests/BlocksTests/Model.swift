// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport

/// The naive picture of a volume: for every block, which block of which chunk it holds; nil is a hole.
struct Model: Equatable {
    struct Content: Hashable {
        var chunk: ChunkDescriptor
        var offset: UInt8
    }

    var blocks: [Content?]

    init(blockCount: Int) {
        blocks = Array(repeating: nil, count: blockCount)
    }

    init(_ map: BlockMap) {
        self.init(blockCount: Int(map.blockCount))
        for extent in map.extents {
            for index in 0..<extent.count {
                blocks[Int(extent.start) + Int(index)] = Content(
                    chunk: map.chunks[Int(extent.chunk)], offset: extent.offset + index)
            }
        }
    }

    mutating func put(_ piece: Piece) {
        for index in 0..<piece.count {
            blocks[Int(piece.start) + Int(index)] = Content(chunk: piece.chunk, offset: piece.offset + index)
        }
    }
}

/// Blocks of a chunk at a place in a volume, as the builder takes them.
struct Piece {
    var start: UInt32
    var chunk: ChunkDescriptor
    var offset: UInt8
    var count: UInt8

    var tuple: (start: UInt32, chunk: ChunkDescriptor, offset: UInt8, count: UInt8) {
        (start, chunk, offset, count)
    }
}

/// A chunk with a name made from a number.
func chunk(_ number: Int, blocks: UInt8 = 16) -> ChunkDescriptor {
    ChunkDescriptor(digest: Digest(hashing: Array("chunk \(number)".utf8)), blockCount: blocks)
}

extension SplitMix {
    /// Pieces that do not overlap, in random order, some of them touching, some of the same chunk.
    mutating func pieces(in range: Range<Int>) -> [Piece] {
        var pieces: [Piece] = []
        var block = range.lowerBound
        while true {
            if Int.random(in: 0..<3, using: &self) == 0 { block += Int.random(in: 1...20, using: &self) }
            let chunk = chunk(Int.random(in: 0..<12, using: &self), blocks: 16)
            let offset = UInt8.random(in: 0..<16, using: &self)
            let count = UInt8.random(in: 1...(16 - offset), using: &self)
            if block + Int(count) > range.upperBound { break }
            // Half of the pieces come in two halves, which the builder has to join again.
            if count > 1, Bool.random(using: &self) {
                pieces.append(Piece(start: UInt32(block), chunk: chunk, offset: offset, count: 1))
                pieces.append(
                    Piece(start: UInt32(block + 1), chunk: chunk, offset: offset + 1, count: count - 1))
            } else {
                pieces.append(Piece(start: UInt32(block), chunk: chunk, offset: offset, count: count))
            }
            block += Int(count)
        }
        return pieces.shuffled(using: &self)
    }

    mutating func map(blockCount: Int) -> (BlockMap, Model) {
        var builder = BlockMapBuilder(blockCount: UInt32(blockCount))
        var model = Model(blockCount: blockCount)
        for piece in pieces(in: 0..<blockCount) {
            builder.add(start: piece.start, chunk: piece.chunk, offset: piece.offset, count: piece.count)
            model.put(piece)
        }
        return (builder.finish(), model)
    }
}
