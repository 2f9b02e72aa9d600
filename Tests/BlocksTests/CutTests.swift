// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@Suite struct CutTests {
    /// Chunks with real bytes: block b of chunk n is told by its first bytes, or zeros.
    private struct Contents {
        var bytes: [ChunkDescriptor: [UInt8]] = [:]
        var order: [ChunkDescriptor] = []

        init(_ random: inout SplitMix) {
            for number in 0..<12 {
                let blocks = Int.random(in: 1...16, using: &random)
                var plain = [UInt8](repeating: 0, count: blocks * 4096)
                for block in 0..<blocks where block == 0 || Int.random(in: 0..<4, using: &random) > 0 {
                    plain[block * 4096] = UInt8(number + 1)
                    plain[block * 4096 + 1] = UInt8(block)
                }
                let chunk = ChunkDescriptor(digest: Digest(hashing: plain), blockCount: UInt8(blocks))
                bytes[chunk] = plain
                order.append(chunk)
            }
        }

        /// The first two bytes of each block of a map, which tell its content.
        func picture(_ map: BlockMap) -> [UInt16] {
            var picture = [UInt16](repeating: 0, count: Int(map.blockCount))
            for extent in map.extents {
                let plain = bytes[map.chunks[Int(extent.chunk)]] ?? []
                for index in 0..<Int(extent.count) {
                    let byte = (Int(extent.offset) + index) * 4096
                    picture[Int(extent.start) + index] = UInt16(plain[byte]) << 8 | UInt16(plain[byte + 1])
                }
            }
            return picture
        }

        func map(_ random: inout SplitMix) -> BlockMap {
            var builder = BlockMapBuilder(blockCount: 400)
            var block: UInt32 = 0
            while let chunk = order.randomElement(using: &random), block + 16 < 400 {
                let offset = UInt8.random(in: 0..<chunk.blockCount, using: &random)
                let count = UInt8.random(in: 1...chunk.blockCount - offset, using: &random)
                builder.add(start: block, chunk: chunk, offset: offset, count: count)
                block += UInt32(count) + UInt32.random(in: 0...3, using: &random)
            }
            return builder.finish()
        }
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func contentStaysAndWhatWasTouchedHasChunksOfItsOwn(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var contents = Contents(&random)
        let map = contents.map(&random)
        let before = contents.picture(map)
        let strange = chunk(999)
        let touches = (0..<Int.random(in: 0...40, using: &random)).map { _ in
            let chunk = contents.order.randomElement(using: &random) ?? strange
            return Touch(
                chunk: Int.random(in: 0..<10, using: &random) == 0 ? strange.digest : chunk.digest,
                first: UInt8.random(in: 0..<20, using: &random),
                count: UInt8.random(in: 0...30, using: &random))
        }
        var asked: [ChunkDescriptor] = []
        let cut = map.cutting(touches) { chunk in
            asked.append(chunk)
            return contents.bytes[chunk] ?? []
        }
        #expect(Set(asked).count == asked.count)
        for piece in cut.pieces {
            let source = try #require(contents.bytes[piece.source])
            let first = Int(piece.first) * 4096
            let own = Array(source[first..<first + Int(piece.chunk.blockCount) * 4096])
            #expect(Digest(hashing: own) == piece.chunk.digest)
            contents.bytes[piece.chunk] = own
        }
        #expect(try BlockMap(decoding: cut.map.encode()) == cut.map)
        #expect(contents.picture(cut.map) == before)
        checkTouched(map, cut, touches, before)
    }

    /// Every touched block that is not zeros lies in a piece, and the first pieces are the first touches.
    private func checkTouched(_ map: BlockMap, _ cut: BlockMapCut, _ touches: [Touch], _ picture: [UInt16]) {
        let pieces = Set(cut.pieces.map(\.chunk))
        #expect(pieces.count == cut.pieces.count)
        let touched = Set(
            touches.flatMap { touch in
                (0..<touch.count).map { Touch(chunk: touch.chunk, first: touch.first &+ $0, count: 1) }
            })
        for extent in map.extents {
            for index in 0..<extent.count {
                let chunk = map.chunks[Int(extent.chunk)]
                let block = extent.start + UInt32(index)
                let touch = Touch(chunk: chunk.digest, first: extent.offset + index, count: 1)
                guard touched.contains(touch), picture[Int(block)] != 0 else { continue }
                let now = cut.map.extents[cut.map.firstExtent(endingAfter: block)]
                #expect(now.start <= block && pieces.contains(cut.map.chunks[Int(now.chunk)]))
            }
        }
    }

    @Test func touchesInOrderBecomeChunksInOrder() {
        var plain = [UInt8](repeating: 0, count: 16 * 4096)
        for block in 0..<16 { plain[block * 4096] = UInt8(block + 1) }
        let whole = ChunkDescriptor(digest: Digest(hashing: plain), blockCount: 16)
        var builder = BlockMapBuilder(blockCount: 16)
        builder.add(start: 0, chunk: whole, count: 16)
        let touches = [
            Touch(chunk: whole.digest, first: 10, count: 2), Touch(chunk: whole.digest, first: 3, count: 1),
            Touch(chunk: whole.digest, first: 4, count: 1), Touch(chunk: whole.digest, first: 9, count: 3),
        ]
        let cut = builder.finish().cutting(touches) { _ in plain }
        #expect(cut.pieces.map(\.first) == [10, 3, 9])
        #expect(cut.pieces.map(\.chunk.blockCount) == [2, 2, 1])
        #expect(cut.pieces.allSatisfy { $0.source == whole })
        #expect(cut.map.extents.map(\.count) == [3, 2, 4, 1, 2, 4])
        #expect(cut.map.chunks.count == 4)
    }

    @Test func aChunkThatIsTouchedAllOverStaysAndIsNotRead() {
        var builder = BlockMapBuilder(blockCount: 32)
        builder.add(start: 0, chunk: chunk(1), count: 16)
        builder.add(start: 16, chunk: chunk(2), count: 16)
        let map = builder.finish()
        var reads = 0
        let cut = map.cutting([
            Touch(chunk: chunk(2).digest, first: 0, count: 8),
            Touch(chunk: chunk(2).digest, first: 8, count: 8),
        ]) { _ in
            reads += 1
            return []
        }
        #expect(reads == 0 && cut.map == map && cut.pieces.map(\.chunk) == [chunk(2)])
    }
}
