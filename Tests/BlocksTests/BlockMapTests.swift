// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@Suite struct BlockMapTests {
    @Test func aVolumeOfZerosHasNothingMapped() {
        let map = BlockMap(zeros: 1000)
        #expect(map.sizeBytes == 4_096_000)
        #expect(map.mappedBlockCount == 0)
        #expect(map.firstExtent(endingAfter: 0) == 0)
        #expect(map == BlockMapBuilder(blockCount: 1000).finish())
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func theBuilderAgreesWithTheModel(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let (map, model) = random.map(blockCount: Int.random(in: 0...700, using: &random))
        #expect(Model(map) == model)
        #expect(map.mappedBlockCount == UInt64(model.blocks.count { $0 != nil }))
        checkCanonical(map)
    }

    private func checkCanonical(_ map: BlockMap) {
        var seen: [UInt32] = []
        for (index, extent) in map.extents.enumerated() {
            if !seen.contains(extent.chunk) { seen.append(extent.chunk) }
            guard index > 0 else { continue }
            let last = map.extents[index - 1]
            #expect(last.range.end <= extent.start)
            let touches = last.range.end == extent.start && last.chunk == extent.chunk
            #expect(!touches || last.offset + last.count != extent.offset, "two extents that are one")
        }
        #expect(seen == Array(0..<UInt32(map.chunks.count)), "chunks stand in the order of their first use")
    }

    @Test func theOrderOfPiecesDoesNotMatter() {
        var random = SplitMix(seed: 99)
        let pieces = random.pieces(in: 0..<500)
        let digests = (0..<10).map { _ in
            var builder = BlockMapBuilder(blockCount: 500)
            for piece in pieces.shuffled(using: &random) {
                builder.add(start: piece.start, chunk: piece.chunk, offset: piece.offset, count: piece.count)
            }
            return builder.finish().digest
        }
        #expect(Set(digests).count == 1)
    }

    @Test func chunksOfOneDigestAndTwoLengthsStayApart() {
        var builder = BlockMapBuilder(blockCount: 10)
        builder.add(start: 0, chunk: chunk(1, blocks: 1), count: 1)
        builder.add(start: 1, chunk: chunk(1, blocks: 2), offset: 1, count: 1)
        let map = builder.finish()
        #expect(map.chunks.count == 2)
        #expect(map.extents.count == 2)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func lookupFindsTheExtentOfEveryBlock(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let (map, _) = random.map(blockCount: 300)
        for block in 0..<300 as Range<UInt32> {
            #expect(map.firstExtent(endingAfter: block) == map.extents.count { $0.range.end <= block })
        }
        #expect(map.firstExtent(endingAfter: .max) == map.extents.count)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func piecesCoverEveryRange(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let (map, model) = random.map(blockCount: 300)
        for _ in 0..<200 {
            let start = UInt32.random(in: 0...300, using: &random)
            let range = BlockRange(start: start, count: UInt32.random(in: 0...(300 - start), using: &random))
            checkPieces(map, model, range)
        }
    }

    private func checkPieces(_ map: BlockMap, _ model: Model, _ range: BlockRange) {
        var next = range.start
        var lastWasHole = false
        map.forEachPiece(in: range) { piece, extent in
            #expect(piece.start == next && !piece.isEmpty)
            next = piece.end
            #expect(!(lastWasHole && extent == nil), "two holes side by side are one")
            lastWasHole = extent == nil
            if let extent { #expect(extent.range == piece) }
            for index in 0..<piece.count {
                let found = extent.map {
                    Model.Content(chunk: map.chunks[Int($0.chunk)], offset: $0.offset + UInt8(index))
                }
                #expect(found == model.blocks[Int(piece.start + index)])
            }
        }
        #expect(next == range.end)
    }

    @Test func anErrorOfTheBodyEndsTheWalk() {
        struct Stop: Error {}
        var builder = BlockMapBuilder(blockCount: 10)
        builder.add(start: 2, chunk: chunk(1), count: 2)
        let map = builder.finish()
        var pieces = 0
        #expect(throws: Stop.self) {
            try map.forEachPiece(in: BlockRange(start: 0, count: 10)) { _, _ throws(Stop) in
                pieces += 1
                if pieces == 2 { throw Stop() }
            }
        }
        #expect(pieces == 2)
    }

    @Test func theBuilderRefusesWhatCannotBe() async {
        await #expect(processExitsWith: .failure) {
            var builder = BlockMapBuilder(blockCount: 10)
            builder.add(start: 9, chunk: chunk(1), count: 2)
        }
        await #expect(processExitsWith: .failure) {
            var builder = BlockMapBuilder(blockCount: 10)
            builder.add(start: 0, chunk: chunk(1, blocks: 4), offset: 3, count: 2)
        }
        await #expect(processExitsWith: .failure) {
            var builder = BlockMapBuilder(blockCount: 10)
            builder.add(start: 0, chunk: chunk(1), count: 3)
            builder.add(start: 2, chunk: chunk(2), count: 3)
            _ = builder.finish()
        }
    }
}
