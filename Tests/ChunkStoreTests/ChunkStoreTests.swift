// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Testing

@testable import ChunkStore

@Suite struct ChunkStoreTests {
    @Test func storesReadsAndSurvivesReopening() throws {
        let directory = try TemporaryDirectory()
        let contents = (0..<200).map { content(UInt64($0), blocks: 1 + $0 % 16) }
        let map: BlockMap
        do {
            let store = try ChunkStore(directory: directory.path)
            let resident = try store.store(contents)
            map = resident.map
            #expect(
                try store.readAll(resident, BlockRange(start: 0, count: map.blockCount))
                    == contents.flatMap { $0 })
        }
        let store = try ChunkStore(directory: directory.path)
        let resident = try store.attach(map)
        #expect(store.collectUnreferenced().chunks == 0)
        #expect(
            try store.readAll(resident, BlockRange(start: 0, count: map.blockCount))
                == contents.flatMap { $0 })
        for bytes in contents { #expect(same(try store.read(descriptor(bytes)), bytes)) }
        #expect(store.statistics().chunks == 200)
        #expect(store.core.openReport.unbackedChunks == 0)
        #expect(store.core.openReport.leakedBlocks == 0)
    }

    @Test func zerosAreHoles() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let session = store.beginIngest()
        #expect(try session.add([UInt8](repeating: 0, count: 65536)) == nil)
        var nearly = [UInt8](repeating: 0, count: 65536)
        nearly[65535] = 1
        #expect(try session.add(nearly) == descriptor(nearly))
        nearly[65535] = 0
        nearly[0] = 1
        #expect(try session.add(nearly) != nil)
        try session.commit()
        #expect(session.newChunks == 2)
        #expect(store.statistics().chunks == 2)
    }

    @Test func sameContentIsStoredOnce() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let first = store.beginIngest()
        let second = store.beginIngest()
        for seed in 0..<300 as Range<UInt64> {
            try first.add(content(seed % 100, blocks: 16))
            try second.add(content(seed % 150, blocks: 16))
        }
        try first.commit()
        try second.commit()
        store.finishReclaiming()
        #expect(store.statistics().chunks == 150)
        #expect(store.statistics().plainBytes == 150 * 65536)
        #expect(store.statistics().allocatedBytes == 150 * 65536)
        #expect(first.newChunks + second.newChunks == 150)
        #expect(first.newChunks + first.sharedChunks == 300)
        #expect(second.newBytes + second.sharedBytes == 300 * 65536)
    }

    @Test func chunksOfOneImportLieSideBySide() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.store((0..<1500).map { content($0, blocks: 16) })
        var segments: [Segment] = []
        store.withStableSlots { map.appendSegments(for: BlockRange(start: 0, count: 24000), to: &segments) }
        #expect(segments.count == 1)
        #expect(segments[0].byteCount == 24000 * 4096)
    }

    @Test func laterAddingGivesTheSameNamesAndOrder() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let session = store.beginIngest()
        var expected: [ChunkDescriptor?] = []
        for seed in 0..<500 as Range<UInt64> {
            if seed % 10 == 3 {
                #expect(try session.addLater([UInt8](repeating: 0, count: 8192)) == expected.count)
                expected.append(nil)
            } else if seed % 10 == 4 {
                try session.add(content(seed, blocks: 2))
            } else {
                let bytes = content(seed % 400, blocks: 1 + Int(seed % 16))
                #expect(try session.addLater(bytes) == expected.count)
                expected.append(descriptor(bytes))
            }
        }
        #expect(try session.descriptors() == expected)
        try session.commit()
        let map = try store.attach(.of(expected.compactMap { $0 }))
        session.release()
        for chunk in map.map.chunks { #expect(try store.read(chunk).count == Int(chunk.blockCount) * 4096) }
    }

    @Test func aMissingChunkLeavesNoReference() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let resident = try store.store([content(1, blocks: 3)])
        let before = store.statistics().references
        let absent = descriptor(content(2, blocks: 3))
        #expect(throws: ChunkStoreError.missingChunk(absent.digest)) {
            try store.attach(.of(resident.map.chunks + [absent]))
        }
        let lying = ChunkDescriptor(digest: resident.map.chunks[0].digest, blockCount: 4)
        #expect(throws: ChunkStoreError.missingChunk(lying.digest)) { try store.attach(.of([lying])) }
        #expect(store.statistics().references == before)
    }

    @Test func collectionFreesWhatNobodyUses() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let kept = try store.store((0..<50).map { content($0, blocks: 16) })
        var dropped: ResidentMap? = try store.store((25..<100).map { content($0, blocks: 16) })
        #expect(dropped?.mappedBlockCount == 75 * 16)
        #expect(store.collectUnreferenced() == (0, 0))
        dropped = nil
        let freed = store.collectUnreferenced()
        #expect(freed == (50, 50 * 65536))
        store.finishReclaiming()
        #expect(store.statistics().chunks == 50)
        #expect(store.statistics().allocatedBytes == 50 * 65536)
        #expect(
            try store.readAll(kept, BlockRange(start: 0, count: 800))
                == concatenated((0..<50).map { content($0, blocks: 16) }))
        // A freed chunk comes back as a new one.
        let again = try store.store([content(80, blocks: 16)])
        #expect(
            try store.readAll(again, BlockRange(start: 3, count: 1))
                == Array(content(80, blocks: 16)[12288..<16384]))
    }

    @Test func anAbandonedSessionGivesItsSpaceBack() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let session = store.beginIngest()
        for seed in 0..<100 as Range<UInt64> { try session.add(content(seed, blocks: 16)) }
        _ = try session.addLater(content(1000, blocks: 1))
        _ = try session.descriptors()
        session.release()
        store.finishReclaiming()
        #expect(store.statistics().chunks == 0)
        #expect(store.statistics().allocatedBytes == 0)
        #expect(throws: ChunkStoreError.sessionEnded) { try session.add(content(1, blocks: 1)) }
        #expect(throws: ChunkStoreError.sessionEnded) { try session.commit() }
    }

    @Test func aSessionKeepsWhatAnotherOneAbandons() throws {
        let directory = try TemporaryDirectory()
        let bytes = content(7, blocks: 16)
        do {
            let store = try ChunkStore(directory: directory.path)
            let first = store.beginIngest()
            try first.add(bytes)
            _ = try first.descriptors()
            let second = store.beginIngest()
            try second.add(bytes)
            _ = try second.descriptors()
            #expect(second.sharedChunks == 1)
            first.release()
            try second.commit()
        }
        let store = try ChunkStore(directory: directory.path)
        #expect(same(try store.read(descriptor(bytes)), bytes))
    }

    @Test func anArenaWithoutChunksIsDeleted() throws {
        let directory = try TemporaryDirectory()
        var map: BlockMap?
        do {
            let store = try ChunkStore(directory: directory.path)
            map = try store.store([content(1, blocks: 16)]).map
        }
        do {
            let store = try ChunkStore(directory: directory.path)
            #expect(store.collectUnreferenced() == (1, 65536))
            store.finishReclaiming()
        }
        let store = try ChunkStore(directory: directory.path)
        #expect(store.statistics().chunks == 0)
        store.collectUnreferenced()
        store.finishReclaiming()
        #expect(store.statistics().allocatedBytes == 0)
        let gone = try #require(map)
        #expect(throws: ChunkStoreError.self) { try store.attach(gone) }
    }

    @Test func refusesAnIndexThatIsNotOne() throws {
        let directory = try TemporaryDirectory()
        do { _ = try ChunkStore(directory: directory.path).store([content(1, blocks: 1)]) }
        let path = directory.path + "/index.log"
        let file = try File(open: path, 2)
        for byte in 0..<64 {
            let old = try file.read(count: 1, at: UInt64(byte))
            try file.write([old[0] ^ 0x10], at: UInt64(byte))
            #expect(throws: ChunkStoreError.self) { try ChunkStore(directory: directory.path) }
            try file.write(old, at: UInt64(byte))
        }
        try Directories.removeFile(path)
        #expect(throws: ChunkStoreError.self) { try ChunkStore(directory: directory.path) }
    }
}
