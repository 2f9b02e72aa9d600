// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

@Suite(.timeLimit(.minutes(2))) struct LazyTests {
    private let contents = (0..<20 as Range<UInt64>).map { content($0, blocks: 1 + Int($0 % 4)) }

    @Test func anAbsentChunkIsASegmentOfItsOwnUntilItIsEntered() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(contents)
        #expect(map.presentBytes == 0)
        let segments = store.segments(map)
        #expect(segments.count == 20)
        let chunks = map.chunks
        for (index, segment) in segments.enumerated() {
            #expect(segment == Segment(source: .absent(chunks[index]), byteCount: contents[index].count))
            #expect(!store.isPresent(chunks[index]))
            #expect(store.descriptor(of: chunks[index]) == descriptor(contents[index]))
        }
        #expect(map.absentHandles(in: BlockRange(start: 0, count: map.blockCount)) == chunks)
        let entries = store.beginEntries(plannedBytes: map.sizeBytes)
        for (handle, bytes) in zip(chunks, contents) { try entries.enter(handle, bytes) }
        #expect(store.segments(map).count == 1)
        #expect(map.isComplete)
        #expect(map.absentHandles(in: BlockRange(start: 0, count: map.blockCount)) == [])
        let range = BlockRange(start: 0, count: map.blockCount)
        #expect(same(try store.readAll(map, range), concatenated(contents)))
        #expect(store.statistics().absentChunks == 0)
    }

    @Test func onlyBytesOfTheChunkAreEntered() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(contents)
        let handle = map.chunks[3]
        let digest = descriptor(contents[3]).digest
        var wrong = contents[3]
        wrong[100] ^= 1
        #expect(throws: ChunkStoreError.wrongBytes(digest)) { try store.enter(handle, wrong) }
        #expect(throws: ChunkStoreError.wrongBytes(digest)) { try store.enter(handle, contents[2]) }
        #expect(throws: ChunkStoreError.wrongBytes(digest)) { try store.enter(handle, []) }
        #expect(!store.isPresent(handle))
        #expect(throws: ChunkStoreError.absentChunk(digest)) { try store.read(descriptor(contents[3])) }
        #expect(throws: ChunkStoreError.absentChunk(digest)) { try store.verify(handle) }
        try store.enter(handle, contents[3])
        try store.enter(handle, contents[3])
        #expect(same(try store.read(descriptor(contents[3])), contents[3]))
        store.finishReclaiming()
        #expect(store.statistics().allocatedBytes == UInt64(contents[3].count))
    }

    @Test func figuresTellPresentFromAbsent() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(contents)
        let total = UInt64(concatenated(contents).count)
        try store.enter(map.chunks[1], contents[1])
        let figures = store.statistics()
        #expect(figures.chunks == 1 && figures.absentChunks == 19)
        #expect(figures.plainBytes == 8192 && figures.absentBytes == total - 8192)
        #expect(map.presentBytes == 8192)
        #expect(figures.packs == 1)
        #expect(!store.contains(descriptor(contents[0])) && store.contains(descriptor(contents[1])))
        #expect(store.allChunks() == [descriptor(contents[1])])
    }

    @Test func ingestMakesAnAbsentChunkPresent() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(contents)
        let session = store.beginIngest()
        for bytes in contents[..<10] { try session.add(bytes) }
        try session.commit()
        #expect(session.newChunks == 10)
        session.release()
        #expect(store.statistics().chunks == 10)
        let here = contents[..<10].reduce(0) { $0 + $1.count }
        #expect(map.presentBytes == UInt64(here))
        #expect(store.collectUnreferenced() == (0, 0))
    }

    @Test func whatAnAbandonedSessionBroughtStaysWithTheImage() throws {
        let directory = try TemporaryDirectory()
        do {
            let store = try ChunkStore(directory: directory.path)
            let map = try store.attachLazily(contents)
            let session = store.beginIngest()
            for bytes in contents + [content(99, blocks: 3)] { try session.add(bytes) }
            _ = try session.descriptors()
            session.release()
            #expect(map.isComplete)
            store.finishReclaiming()
            #expect(store.statistics().chunks == 20)
        }
        let store = try ChunkStore(directory: directory.path)
        #expect(try store.attachLazily(contents).isComplete)
    }

    @Test func recordsFollowWithinAboutASecond() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path + "/s")
        let map = try store.attachLazily(contents)
        try store.enter(map.chunks[0], contents[0])
        let early = try directory.copy(directory.path + "/s", to: "early")
        #expect(try ChunkStore(directory: early).statistics().chunks == 0)
        let size = store.statistics().indexBytes
        let deadline = MonotonicTime.now.advanced(bySeconds: 20)
        while store.statistics().indexBytes == size, MonotonicTime.now < deadline { usleep(20_000) }
        let late = try directory.copy(directory.path + "/s", to: "late")
        #expect(try ChunkStore(directory: late).contains(descriptor(contents[0])))
        try store.enter(map.chunks[1], contents[1])
        store.synchronizeFetched()
        let asked = try directory.copy(directory.path + "/s", to: "asked")
        #expect(try ChunkStore(directory: asked).contains(descriptor(contents[1])))
    }

    @Test func whatWasEnteredSurvivesAnOrderlyEnd() throws {
        let directory = try TemporaryDirectory()
        do {
            let store = try ChunkStore(directory: directory.path)
            let map = try store.attachLazily(contents)
            for (handle, bytes) in zip(map.chunks, contents) { try store.enter(handle, bytes) }
        }
        let store = try ChunkStore(directory: directory.path)
        #expect(store.statistics().chunks == 20)
        #expect(try store.attachLazily(contents).isComplete)
    }

    @Test func absentChunksGoWithTheirLastReference() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        var map: ResidentMap? = try store.attachLazily(contents)
        let chunks = try #require(map?.chunks)
        try store.enter(chunks[4], contents[4])
        var hold: ChunkHold? = store.hold([chunks[7]])
        map = nil
        #expect(hold != nil)
        // The present one goes with the collection; the one that is held stays known.
        #expect(store.collectUnreferenced() == (1, UInt64(contents[4].count)))
        store.finishReclaiming()
        #expect(store.statistics().absentChunks == 1)
        #expect(store.descriptor(of: chunks[7]) == descriptor(contents[7]))
        #expect(throws: ChunkStoreError.self) { try store.enter(chunks[2], contents[2]) }
        hold = nil
        store.collectUnreferenced()
        store.finishReclaiming()
        let figures = store.statistics()
        #expect(figures.absentChunks == 0 && figures.chunks == 0 && figures.packs == 0)
        #expect(figures.allocatedBytes == 0)
        #expect(try store.attachLazily(contents).presentBytes == 0)
    }

    @Test func aMapWithAnUnknownChunkIsRefusedAndLeavesNothing() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = BlockMap.of(contents.map(descriptor))
        let full = PlaceTable.madeUp(for: map)
        var places = full.places
        places[9] = nil
        let table = PlaceTable(packs: full.packs, places: places)
        #expect(throws: ChunkStoreError.missingChunk(map.chunks[9].digest)) {
            try store.attach(map, places: table, sources: [])
        }
        #expect(throws: ChunkStoreError.self) {
            try store.attach(.of([map.chunks[0]]), places: table, sources: [])
        }
        store.finishReclaiming()
        #expect(store.statistics().absentChunks == 0 && store.statistics().packs == 0)
        let stored = try store.store([contents[9]])
        let mixed = try store.attach(map, places: table, sources: [])
        #expect(mixed.presentBytes == stored.sizeBytes)
    }

    @Test func aWrongLengthStandsInNobodysWay() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let bytes = content(5, blocks: 4)
        let lie = BlockMap.of([ChunkDescriptor(digest: descriptor(bytes).digest, blockCount: 7)])
        let lying = try store.attach(lie, places: .madeUp(for: lie, pack: 9), sources: [])
        let stored = try store.store([bytes])
        let lazy = try store.attachLazily([bytes])
        #expect(stored.isComplete && lazy.isComplete && lying.presentBytes == 0)
        #expect(throws: ChunkStoreError.self) { try store.enter(lying.chunks[0], bytes) }
        #expect(same(try store.read(descriptor(bytes)), bytes))
    }

    @Test func handlesOfDoubtfulChunksAreGivenOnOnce() throws {
        let directory = try TemporaryDirectory()
        let bad = Lock(false)
        let hooks = StoreHooks(synchronize: { (file: File) throws(SystemError) in
            if bad.withLock({ $0 }), file.path.hasSuffix(".arena") {
                throw SystemError(EIO, "fdatasync", file.path)
            }
            try file.synchronizeData()
        })
        let store = try ChunkStore(directory: directory.path, hooks: hooks)
        for _ in 0..<3 {
            // Fetched, without a reference, waiting for records that cannot be written.
            do {
                let map = try store.attachLazily(contents)
                for (handle, bytes) in zip(map.chunks, contents) { try store.enter(handle, bytes) }
            }
            #expect(store.statistics().absentChunks == 0)
            store.core.reclaimer.finishDrops()
            bad.withLock { $0 = true }
            store.synchronizeFetched()
            bad.withLock { $0 = false }
            store.finishReclaiming()
            #expect(store.statistics().chunks == 0)
            do {
                let map = try store.attachLazily(contents)
                for (handle, bytes) in zip(map.chunks, contents) { try store.enter(handle, bytes) }
            }
            #expect(store.collectUnreferenced().chunks == 20)
            store.finishReclaiming()
        }
        let others = (100..<140 as Range<UInt64>).map { content($0, blocks: 2) }
        let first = try store.attachLazily(contents)
        let second = try store.attachLazily(others)
        #expect(Set(first.chunks + second.chunks).count == 60)
    }

    @Test func aFailedFlushMakesFetchedChunksAbsentAgain() throws {
        let directory = try TemporaryDirectory()
        let bad = Lock(false)
        let hooks = StoreHooks(synchronize: { (file: File) throws(SystemError) in
            if bad.withLock({ $0 }), file.path.hasSuffix(".arena") {
                throw SystemError(EIO, "fdatasync", file.path)
            }
            try file.synchronizeData()
        })
        let store = try ChunkStore(directory: directory.path, hooks: hooks)
        let map = try store.attachLazily(contents)
        let range = BlockRange(start: 0, count: map.blockCount)
        for (handle, bytes) in zip(map.chunks, contents) { try store.enter(handle, bytes) }
        bad.withLock { $0 = true }
        store.synchronizeFetched()
        bad.withLock { $0 = false }
        #expect(map.presentBytes == 0)
        for (handle, bytes) in zip(map.chunks, contents) { try store.enter(handle, bytes) }
        store.synchronizeFetched()
        store.finishReclaiming()
        #expect(same(try store.readAll(map, range), concatenated(contents)))
        let reopened = try ChunkStore(directory: directory.path, hooks: StoreHooks())
        #expect(reopened.statistics().chunks == 20)
    }
}
