// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// What leaves the cache when it is full, and what does not.
@Suite(.timeLimit(.minutes(2))) struct EvictionTests {
    private static let contents = (0..<64 as Range<UInt64>).map { content($0, blocks: 16) }
    private static let chunkBytes = UInt64(16 * Block.bytes)

    private func fetchAll(_ map: ResidentMap, _ store: ChunkStore, _ contents: [[UInt8]]) throws {
        let entries = store.beginEntries(plannedBytes: UInt64(contents.count) * Self.chunkBytes)
        for (chunk, bytes) in zip(map.chunks, contents) { try entries.enter(chunk, bytes) }
        store.synchronizeFetched()
    }

    private func limit(_ store: ChunkStore, chunks: UInt64) {
        store.core.evictor.setLimits(CacheLimits(maximumBytes: chunks * Self.chunkBytes), store.core)
        store.core.evictor.keepLimits(store.core)
        store.finishReclaiming()
    }

    @Test func whatIsOverTheLimitGoesAndCanComeAgain() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(Self.contents)
        try fetchAll(map, store, Self.contents)
        #expect(store.statistics().cachedBytes == 64 * Self.chunkBytes)
        limit(store, chunks: 32)
        let figures = store.statistics()
        #expect((28 * Self.chunkBytes...32 * Self.chunkBytes).contains(figures.cachedBytes))
        #expect(figures.plainBytes == figures.cachedBytes)
        #expect(figures.allocatedBytes <= figures.plainBytes + 65536)
        #expect(map.presentBytes == figures.plainBytes)
        let status = store.cacheStatus()
        #expect(status.evictedBytes == 64 * Self.chunkBytes - figures.plainBytes)
        #expect(!status.isStuck)
        // What is left is what it was, and the rest comes again.
        for (index, bytes) in Self.contents.enumerated() where store.isPresent(map.chunks[index]) {
            #expect(same(try store.readAll(map, BlockRange(start: UInt32(index * 16), count: 16)), bytes))
        }
        store.setCacheLimits(CacheLimits())
        try fetchAll(map, store, Self.contents)
        #expect(same(try store.readAll(map, BlockRange(start: 0, count: 1024)), concatenated(Self.contents)))
    }

    @Test func whatIsReadStays() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(Self.contents)
        try fetchAll(map, store, Self.contents)
        // Everything has just come, so the first round only takes the marks away.
        limit(store, chunks: 60)
        for _ in 0..<3 {
            for chunk in 0..<8 as Range<UInt32> where store.isPresent(map.chunks[Int(chunk)]) {
                _ = try store.readAll(map, BlockRange(start: chunk * 16, count: 1))
            }
            let before = (0..<8).filter { store.isPresent(map.chunks[$0]) }
            let bytes = store.statistics().cachedBytes
            limit(store, chunks: bytes / Self.chunkBytes - 8)
            #expect((0..<8).filter { store.isPresent(map.chunks[$0]) } == before)
        }
    }

    @Test func whatNoSourceHasNeverGoes() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let local = Array(Self.contents[..<16])
        let image = try store.store(local)
        // The lazy image shares 8 chunks with the local one, of which no table of its own tells.
        let lazy = try store.attachLazily(Array(Self.contents[8..<40]))
        try fetchAll(lazy, store, Array(Self.contents[8..<40]))
        let sourceless = BlockMap.of(Self.contents[40..<48].map(named))
        let held = try store.attach(sourceless, places: .madeUp(for: sourceless), sources: [])
        try fetchAll(held, store, Array(Self.contents[40..<48]))
        limit(store, chunks: 0)
        #expect(image.isComplete && held.isComplete)
        #expect(lazy.presentBytes == 8 * Self.chunkBytes)
        #expect(store.statistics().cachedBytes == 0)
        #expect(store.cacheStatus().pinnedBytes == 24 * Self.chunkBytes)
        #expect(image.pinnedBytes == 16 * Self.chunkBytes)
        #expect(same(try store.readAll(image, BlockRange(start: 0, count: 256)), concatenated(local)))
    }

    @Test func whatHasBeenPushedMayGo() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let image = try store.store(Self.contents)
        let table = PlaceTable.madeUp(for: image.map)
        let pushed = try store.sources.intern("test:pushed")
        let other = try store.sources.intern("test:other")
        _ = try store.attach(image.map, places: table, sources: [pushed])
        image.releasePins(coveredBy: table, sources: [other])
        #expect(store.statistics().cachedBytes == 0)
        image.releasePins(coveredBy: table, sources: [pushed])
        #expect(store.statistics().cachedBytes == 64 * Self.chunkBytes)
        let session = store.beginIngest()
        for bytes in Self.contents[..<10] { try session.add(bytes) }
        try session.commit()
        limit(store, chunks: 0)
        #expect(image.presentBytes == 10 * Self.chunkBytes, "a session keeps what it has found")
        session.release()
        limit(store, chunks: 0)
        #expect(image.presentBytes == 0)
    }

    @Test func aFailedIndexLosesNothing() throws {
        let directory = try TemporaryDirectory()
        let fails = Lock(false)
        let hooks = StoreHooks(
            synchronize: { (file: File) throws(SystemError) in
                if fails.withLock({ $0 }), file.path.hasSuffix("index.log") {
                    throw SystemError(EIO, "fdatasync", file.path)
                }
                try file.synchronizeData()
            })
        let store = try ChunkStore(directory: directory.path, hooks: hooks)
        let map = try store.attachLazily(Self.contents)
        try fetchAll(map, store, Self.contents)
        fails.withLock { $0 = true }
        limit(store, chunks: 8)
        #expect(map.isComplete)
        #expect(store.cacheStatus().isStuck)
        #expect(same(try store.readAll(map, BlockRange(start: 0, count: 1024)), concatenated(Self.contents)))
    }

    @Test func theFloorOfFreeSpaceIsKept() throws {
        let directory = try TemporaryDirectory()
        // A file system of 96 chunks.
        let total = 96 * Self.chunkBytes
        let arenas = directory.path + "/arenas"
        let hooks = StoreHooks(availableBytes: { _ in
            let names = (try? Directories.names(in: arenas)) ?? []
            let used = names.reduce(UInt64(0)) { sum, name in
                sum + ((try? File(open: arenas + "/" + name, O_RDONLY).status().allocatedBytes) ?? 0)
            }
            return total - min(total, used)
        })
        let store = try ChunkStore(directory: directory.path, hooks: hooks)
        let map = try store.attachLazily(Self.contents)
        try fetchAll(map, store, Self.contents)
        store.core.evictor.setLimits(
            CacheLimits(minimumFreeBytes: 48 * Self.chunkBytes), store.core)
        store.core.evictor.keepLimits(store.core)
        #expect(map.presentBytes <= 48 * Self.chunkBytes)
        #expect(map.presentBytes >= 40 * Self.chunkBytes)
        #expect(!store.hasRoom(for: map))
    }

    @Test func aCrashLeavesWhatWasNotEvicted() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/s"
        var store = try ChunkStore(directory: path)
        let map = BlockMap.of(Self.contents.map(named))
        let resident = try store.attachLazily(Self.contents)
        try fetchAll(resident, store, Self.contents)
        limit(store, chunks: 20)
        let here = Set(store.allChunks())
        let copy = try directory.copy(path, to: "copy")
        store = try ChunkStore(directory: copy)
        #expect(Set(store.allChunks()) == here)
        let again = try store.attach(
            map, places: .madeUp(for: map), sources: [try store.sources.intern("test:1")])
        for (index, bytes) in Self.contents.enumerated() where store.isPresent(again.chunks[index]) {
            #expect(same(try store.read(descriptor(bytes)), bytes))
        }
        #expect(store.statistics().cachedBytes == UInt64(here.count) * Self.chunkBytes)
    }

    /// Readers see a chunk absent or whole while others fetch and the cache is far too small.
    @Test func readersNeverSeeWhatIsBeingPunched() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let map = try store.attachLazily(Self.contents)
        store.setCacheLimits(CacheLimits(maximumBytes: 16 * Self.chunkBytes))
        let done = Lock(false)
        let failures = Lock<[String]>([])
        let present = Lock(0)
        let readers = try (0..<3 as Range<UInt32>).map { number in
            try NamedThread("reader") {
                var chunk = number * 17
                while !done.withLock({ $0 }) {
                    chunk = (chunk + 5) % 64
                    do {
                        let bytes = try store.readAll(map, BlockRange(start: chunk * 16, count: 16))
                        present.withLock { $0 += 1 }
                        if !same(bytes, Self.contents[Int(chunk)]) { failures.withLock { $0.append("read") } }
                    } catch {
                        if case .absentChunk? = error as? ChunkStoreError { continue }
                        failures.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        let writers = try (0..<2 as Range<UInt64>).map { number in
            try NamedThread("writer") {
                var generator = SplitMix(seed: number)
                let chunks = map.chunks
                do {
                    for _ in 0..<600 {
                        let index = Int.random(in: 0..<64, using: &generator)
                        try store.enter(chunks[index], Self.contents[index])
                        if index % 16 == 0 { store.synchronizeFetched() }
                    }
                } catch {
                    failures.withLock { $0.append("\(error)") }
                }
            }
        }
        for writer in writers { writer.join() }
        done.withLock { $0 = true }
        for reader in readers { reader.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(present.withLock { $0 } > 0)
        #expect(store.cacheStatus().evictedChunks > 0)
        store.synchronizeFetched()
        store.core.evictor.keepLimits(store.core)
        store.finishReclaiming()
        let figures = store.statistics()
        #expect(figures.cachedBytes <= 16 * Self.chunkBytes)
        #expect((figures.plainBytes...figures.plainBytes + 65536).contains(figures.allocatedBytes))
    }
}
