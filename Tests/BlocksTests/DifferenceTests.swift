// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@Suite struct DifferenceTests {
    /// A map that has much, but not all, of another one.
    private func derived(_ base: BlockMap, _ random: inout SplitMix) -> BlockMap {
        let blockCount = Int.random(in: 1...500, using: &random)
        var ranges: [BlockRange] = []
        var pieces: [Piece] = []
        var block = Int.random(in: 0...200, using: &random)
        while block < blockCount {
            let count = min(Int.random(in: 1...40, using: &random), blockCount - block)
            ranges.append(BlockRange(start: UInt32(block), count: UInt32(count)))
            pieces += random.pieces(in: block..<block + count).map { piece in
                var piece = piece
                // Some chunks are those of the base, some are new.
                if Bool.random(using: &random) { piece.chunk = chunk(100 + Int(piece.start)) }
                return piece
            }
            block += count + Int.random(in: 0...200, using: &random)
        }
        return base.replacing(blockCount: UInt32(blockCount), ranges, with: pieces.map(\.tuple))
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func applyingTheDifferenceGivesTheMap(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let (base, _) = random.map(blockCount: Int.random(in: 1...400, using: &random))
        let related = derived(base, &random)
        let (unrelated, _) = random.map(blockCount: Int.random(in: 1...400, using: &random))
        for map in [related, unrelated, base, BlockMap(zeros: 70)] {
            let bytes = map.difference(from: base)
            #expect(try base.applying(difference: bytes) == map)
            #expect(try BlockMap.base(ofDifference: bytes) == base.digest)
        }
        #expect(
            try BlockMap(zeros: 9).applying(difference: base.difference(from: BlockMap(zeros: 9))) == base)
    }

    @Test func someHundredChangedBlocksTakeAFewKilobytes() throws {
        var builder = BlockMapBuilder(blockCount: 262_144)
        for index in 0..<16_384 { builder.add(start: UInt32(index * 16), chunk: chunk(index), count: 16) }
        let base = builder.finish()
        let ranges = (0..<20).map { BlockRange(start: UInt32($0 * 9001), count: 16) }
        let pieces = ranges.enumerated().map { index, range in
            (start: range.start, chunk: chunk(100_000 + index), offset: UInt8(0), count: UInt8(16))
        }
        let map = base.replacing(blockCount: 262_144, ranges, with: pieces)
        let bytes = map.difference(from: base)
        #expect(bytes.count < 1200)
        #expect(try base.applying(difference: bytes) == map)
    }

    @Test func anotherBaseIsRefused() throws {
        var random = SplitMix(seed: 1)
        let (base, _) = random.map(blockCount: 100)
        let bytes = derived(base, &random).difference(from: base)
        #expect(throws: BlockMapError.wrongBase(base.digest)) {
            try BlockMap(zeros: 100).applying(difference: bytes)
        }
        #expect(throws: BlockMapError.notADifference) { try base.applying(difference: base.encode()) }
        #expect(throws: BlockMapError.notABlockMap) { try BlockMap(decoding: bytes) }
    }

    @Test func damageIsRefusedAndLiesMakeNoInvalidMap() throws {
        var random = SplitMix(seed: 3)
        let (base, _) = random.map(blockCount: 200)
        let bytes = derived(base, &random).difference(from: base)
        for length in bytes.indices {
            #expect(throws: BlockMapError.self) { try base.applying(difference: Array(bytes[..<length])) }
        }
        var accepted = 0
        for place in bytes.indices {
            for bit in 0..<8 {
                var lying = bytes
                lying[place] ^= 1 << UInt8(bit)
                #expect(throws: BlockMapError.self) { try base.applying(difference: lying) }
                // With a checksum that fits it is read to the end.
                let body = Array(lying.dropLast(4))
                var writer = ByteWriter()
                writer.put(body)
                writer.put(CRC32C.checksum(body))
                guard let map = try? base.applying(difference: writer.bytes) else { continue }
                accepted += 1
                #expect(try BlockMap(decoding: map.encode()) == map)
            }
        }
        #expect(accepted > 0)
    }

    @Test func countsBeyondTheInputAreRefusedBeforeAnythingIsReserved() throws {
        let base = BlockMap(zeros: 10)
        for field in [48, 52, 56] {
            var bytes = base.difference(from: base)
            for byte in 0..<4 { bytes[field + byte] = 0xFF }
            let body = Array(bytes.dropLast(4))
            var writer = ByteWriter()
            writer.put(body)
            writer.put(CRC32C.checksum(body))
            #expect(throws: BlockMapError.self) { try base.applying(difference: writer.bytes) }
        }
    }
}
