// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Testing

@Suite struct BlockTests {
    private static let counts: [(UInt64, UInt64)] = [
        (0, 0), (1, 1), (4095, 1), (4096, 1), (4097, 2), (8192, 2), (.max, 1 << 52),
        (.max - 4095, (1 << 52) - 1),
    ]

    @Test(arguments: counts)
    func countsWholeBlocks(bytes: UInt64, blocks: UInt64) {
        #expect(Block.count(forBytes: bytes) == blocks)
    }

    @Test func rangesIntersect() {
        let range = BlockRange(start: 10, count: 10)
        #expect(range.intersection(BlockRange(start: 5, count: 10)) == BlockRange(start: 10, count: 5))
        #expect(range.intersection(BlockRange(start: 12, count: 3)) == BlockRange(start: 12, count: 3))
        #expect(range.intersection(BlockRange(start: 0, count: 10)).isEmpty)
        #expect(range.intersection(BlockRange(start: 20, count: 5)).isEmpty)
        #expect(range.intersection(BlockRange(start: 100, count: 0)).isEmpty)
        #expect(range.intersection(range) == range)
        #expect(range.description == "[10, 20)")
        #expect(range.end == 20)
    }

    @Test func aRangeReachesTheLastBlockNumber() {
        #expect(BlockRange(start: .max - 1, count: 1).end == .max)
        #expect(BlockRange(start: .max, count: 0).isEmpty)
    }

    @Test func aRangeBeyondTheLastBlockNumberTraps() async {
        await #expect(processExitsWith: .failure) { _ = BlockRange(start: .max, count: 1) }
    }

    @Test func aChunkHasOneToSixteenBlocks() async {
        await #expect(processExitsWith: .failure) {
            _ = ChunkDescriptor(digest: Digest(words: (0, 0, 0, 0)), blockCount: 0)
        }
        await #expect(processExitsWith: .failure) {
            _ = ChunkDescriptor(digest: Digest(words: (0, 0, 0, 0)), blockCount: 17)
        }
    }
}
