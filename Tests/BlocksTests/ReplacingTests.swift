// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@Suite struct ReplacingTests {
    /// Ranges that are sorted and apart, within the volume.
    private func ranges(_ random: inout SplitMix, blockCount: Int) -> [BlockRange] {
        var ranges: [BlockRange] = []
        var block = Int.random(in: 0...30, using: &random)
        while block < blockCount {
            let count = min(Int.random(in: 1...40, using: &random), blockCount - block)
            ranges.append(BlockRange(start: UInt32(block), count: UInt32(count)))
            block += count + Int.random(in: 0...40, using: &random)
        }
        return ranges
    }

    @Test(arguments: 0..<80 as Range<UInt64>)
    func agreesWithTheModel(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let (map, old) = random.map(blockCount: Int.random(in: 1...400, using: &random))
        let blockCount = Int.random(in: 1...500, using: &random)
        let replaced = ranges(&random, blockCount: blockCount)
        var expected = Model(blockCount: blockCount)
        for block in 0..<min(blockCount, old.blocks.count) { expected.blocks[block] = old.blocks[block] }
        var pieces: [Piece] = []
        for range in replaced {
            for block in Int(range.start)..<Int(range.end) { expected.blocks[block] = nil }
            for piece in random.pieces(in: Int(range.start)..<Int(range.end)) {
                expected.put(piece)
                pieces.append(piece)
            }
        }
        let result = map.replacing(blockCount: UInt32(blockCount), replaced, with: pieces.map(\.tuple))
        #expect(result.blockCount == UInt32(blockCount))
        #expect(Model(result) == expected)
    }

    @Test func nothingReplacedIsTheSameMap() {
        var random = SplitMix(seed: 5)
        let (map, _) = random.map(blockCount: 300)
        #expect(map.replacing(blockCount: 300, [], with: []) == map)
        #expect(map.replacing(blockCount: 300, [], with: []).encode() == map.encode())
    }

    @Test func everythingReplacedLeavesNoOldChunk() {
        var random = SplitMix(seed: 6)
        let (map, _) = random.map(blockCount: 300)
        #expect(
            map.replacing(blockCount: 300, [BlockRange(start: 0, count: 300)], with: [])
                == BlockMap(zeros: 300))
    }

    @Test func shrinkingCutsAnExtent() {
        var builder = BlockMapBuilder(blockCount: 16)
        builder.add(start: 0, chunk: chunk(1), count: 16)
        let map = builder.finish().replacing(blockCount: 5, [], with: [])
        #expect(map.extents == [Extent(start: 0, count: 5, chunk: 0, offset: 0)])
    }

    @Test func aHoleOfOneBlockSplitsAnExtent() {
        var builder = BlockMapBuilder(blockCount: 16)
        builder.add(start: 0, chunk: chunk(1), count: 16)
        let map = builder.finish().replacing(blockCount: 16, [BlockRange(start: 7, count: 1)], with: [])
        #expect(
            map.extents == [
                Extent(start: 0, count: 7, chunk: 0, offset: 0),
                Extent(start: 8, count: 8, chunk: 0, offset: 8),
            ])
    }

    @Test func theSameContentPutBackGivesTheSameMap() {
        var builder = BlockMapBuilder(blockCount: 16)
        builder.add(start: 0, chunk: chunk(1), count: 16)
        let map = builder.finish()
        let same = map.replacing(
            blockCount: 16, [BlockRange(start: 3, count: 4)],
            with: [(start: 3, chunk: chunk(1), offset: 3, count: 4)])
        #expect(same == map)
        #expect(same.digest == map.digest)
    }
}
