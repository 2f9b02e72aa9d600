// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@testable import ChunkStore

@Suite struct ResidentMapTests {
    /// A map with holes and repeated chunks, and pieces of chunks.
    private func randomMap(_ chunks: [ChunkDescriptor], _ generator: inout SplitMix) -> BlockMap {
        var builder = BlockMapBuilder(blockCount: 20000)
        var block: UInt32 = 0
        while block < 19900 {
            if Int.random(in: 0..<4, using: &generator) == 0 {
                block += UInt32.random(in: 1...50, using: &generator)
            }
            guard block < 19900, let chunk = chunks.randomElement(using: &generator) else { break }
            let offset = UInt8.random(in: 0..<chunk.blockCount, using: &generator)
            let count = UInt8.random(in: 1...(chunk.blockCount - offset), using: &generator)
            builder.add(start: block, chunk: chunk, offset: offset, count: count)
            block += UInt32(count)
        }
        return builder.finish()
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func segmentsAgreeWithThePiecesOfTheMap(seed: UInt64) throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        var generator = SplitMix(seed: seed)
        let contents = (0..<40).map { content($0, blocks: 1 + Int($0 % 16)) }
        let stored = try store.store(contents)
        let plain = Dictionary(contents.map { (descriptor($0), $0) }) { first, _ in first }
        let map = randomMap(stored.map.chunks, &generator)
        let resident = try store.attach(map)
        #expect(resident.map == map)
        #expect(resident.mappedBlockCount == map.mappedBlockCount)
        for _ in 0..<100 {
            let start = UInt32.random(in: 0...20000, using: &generator)
            let count = UInt32.random(in: 0...300, using: &generator)
            let range = BlockRange(start: start, count: count)
            var expected: [UInt8] = []
            map.forEachPiece(in: range) { piece, extent in
                guard let extent, let bytes = plain[map.chunks[Int(extent.chunk)]] else {
                    expected += [UInt8](repeating: 0, count: Int(piece.count) * 4096)
                    return
                }
                let first = Int(extent.offset) * 4096
                expected += bytes[first..<first + Int(piece.count) * 4096]
            }
            #expect(same(try store.readAll(resident, range), expected))
        }
    }

    @Test func holesAndDataAreFound() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        var generator = SplitMix(seed: 9)
        let stored = try store.store((0..<10).map { content($0, blocks: 1 + Int($0)) })
        let map = randomMap(stored.map.chunks, &generator)
        let resident = try store.attach(map)
        var isMapped = [Bool](repeating: false, count: 20000)
        for extent in map.extents {
            for block in extent.range.start..<extent.range.end { isMapped[Int(block)] = true }
        }
        for block in stride(from: 0, to: 20000, by: 7) {
            let data = isMapped[block...].firstIndex(of: true).map { UInt32($0) }
            let hole = isMapped[block...].firstIndex(of: false).map { UInt32($0) } ?? 20000
            #expect(resident.nextMapped(from: UInt32(block)) == data)
            #expect(resident.nextHole(from: UInt32(block)) == hole)
        }
    }

    @Test func aVolumeOfZerosIsOneSegment() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let resident = try store.attach(BlockMap(zeros: 1000))
        var segments: [Segment] = []
        resident.appendSegments(for: BlockRange(start: 10, count: 900), to: &segments)
        #expect(segments == [Segment(source: .zeros, byteCount: 900 * 4096)])
        #expect(resident.nextMapped(from: 0) == nil)
        #expect(resident.nextHole(from: 5) == 5)
        #expect(resident.map == BlockMap(zeros: 1000))
    }
}
