// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// The store beside a model of it, with images of which not everything is here, and crashes.
@Suite(.timeLimit(.minutes(4))) struct LazyModelTests {
    private struct Harness {
        let directory: TemporaryDirectory
        var path: String
        var store: ChunkStore
        var crashes = 0
        /// `pinned` are the chunks that the map could not have fetched again.
        var maps: [Int: (seeds: [UInt64], resident: ResidentMap, pinned: Set<UInt64>)] = [:]
        var nextName = 0
        /// Chunks that must be here, and those of them that must be here after a crash too.
        var present: Set<UInt64> = []
        var recorded: Set<UInt64> = []

        init() throws {
            directory = try TemporaryDirectory()
            path = directory.path + "/s0"
            store = try ChunkStore(directory: path)
        }

        var used: Set<UInt64> { Set(maps.values.flatMap(\.seeds)) }
        var pinned: Set<UInt64> { Set(maps.values.flatMap(\.pinned)) }

        static func bytes(_ seed: UInt64) -> [UInt8] { content(seed, blocks: 1 + Int(seed % 16)) }

        private func seeds(_ generator: inout SplitMix) -> [UInt64] {
            let count = Int.random(in: 1...30, using: &generator)
            return (0..<count).map { _ in UInt64.random(in: 0..<150, using: &generator) }
        }

        mutating func addWhole(_ generator: inout SplitMix) throws {
            let seeds = seeds(&generator)
            maps[nextName] = (seeds, try store.store(seeds.map(Self.bytes)), Set(seeds))
            nextName += 1
            present.formUnion(seeds)
            recorded.formUnion(seeds)
        }

        mutating func addLazy(_ generator: inout SplitMix) throws {
            let seeds = seeds(&generator)
            maps[nextName] = (
                seeds, try store.attachLazily(seeds.map(Self.bytes), pack: UInt64(nextName % 5)), []
            )
            nextName += 1
        }

        /// Fetches some chunks of a map, in its order or not, some of them twice.
        mutating func enter(_ generator: inout SplitMix) throws {
            guard let map = maps.values.map({ $0 }).randomElement(using: &generator) else { return }
            let entries = store.beginEntries(plannedBytes: UInt64.random(in: 0...1 << 20, using: &generator))
            for seed in map.seeds.shuffled(using: &generator).prefix(12) {
                let bytes = Self.bytes(seed)
                let handle = try #require(store.handle(of: descriptor(bytes)))
                try entries.enter(handle, bytes)
                present.insert(seed)
            }
        }

        mutating func collect() {
            store.collectUnreferenced()
            store.finishReclaiming()
            present.formIntersection(used)
            recorded.formIntersection(used)
        }

        /// Lowers the limit of the cache: what goes may be any chunk that is not pinned.
        mutating func evict(_ generator: inout SplitMix) throws {
            collect()
            synchronize()
            let limit = UInt64.random(in: 0...120, using: &generator) * 4 * 4096
            store.core.evictor.setLimits(CacheLimits(maximumBytes: limit), store.core)
            store.core.evictor.keepLimits(store.core)
            store.setCacheLimits(CacheLimits())
            store.finishReclaiming()
            let here = Set(store.allChunks())
            let found = present.filter { here.contains(descriptor(Self.bytes($0))) }
            #expect(here.count == found.count, "nothing comes by going")
            #expect(pinned.intersection(present).isSubset(of: found))
            let cached = found.subtracting(pinned).reduce(UInt64(0)) { $0 + UInt64(Self.bytes($1).count) }
            #expect(store.statistics().cachedBytes == cached)
            #expect(cached <= limit)
            present = found
            recorded.formIntersection(found)
        }

        mutating func synchronize() {
            store.synchronizeFetched()
            recorded = present
        }

        mutating func drop(_ generator: inout SplitMix) {
            guard let name = maps.keys.sorted().randomElement(using: &generator) else { return }
            maps[name] = nil
        }

        /// Opens the store again, or a copy made while it was at work, as a crash leaves it.
        mutating func reopen(afterCrash: Bool) throws {
            let plain = maps.mapValues { ($0.seeds, $0.resident.map, store.places(for: $0.resident.map)) }
            if afterCrash {
                crashes += 1
                path = try directory.copy(path, to: "s\(crashes)")
            }
            maps = [:]
            store.finishReclaiming()
            store = try ChunkStore(directory: directory.path + "/empty")
            store = try ChunkStore(directory: path)
            let here = Set(store.allChunks())
            let found = Set((0..<150 as Range<UInt64>).filter { here.contains(descriptor(Self.bytes($0))) })
            #expect(afterCrash ? recorded.isSubset(of: found) : present.isSubset(of: found))
            present = found
            recorded = found
            let sources = [try store.sources.intern("test:again")]
            for (name, map) in plain {
                let placeless = Set(zip(map.1.chunks, map.2.places).filter { $0.1 == nil }.map(\.0))
                let pinned = map.0.filter { placeless.contains(descriptor(Self.bytes($0))) }
                maps[name] = (map.0, try store.attach(map.1, places: map.2, sources: sources), Set(pinned))
            }
        }

        func check(exactly: Bool) throws {
            for (_, map) in maps { try check(map.seeds, map.resident) }
            let figures = store.statistics()
            #expect(pinned.isSubset(of: present), "what cannot be fetched is here")
            let absent = used.subtracting(present)
            #expect(figures.absentChunks == absent.count)
            if exactly {
                let plain = present.reduce(0) { $0 + Self.bytes($1).count }
                #expect(figures.chunks == present.count)
                #expect(figures.plainBytes == UInt64(plain))
                #expect((UInt64(plain)...UInt64(plain) + 65536).contains(figures.allocatedBytes))
            }
        }

        private func check(_ seeds: [UInt64], _ map: ResidentMap) throws {
            var expected: UInt64 = 0
            var block: UInt32 = 0
            for seed in seeds {
                let bytes = Self.bytes(seed)
                let range = BlockRange(start: block, count: UInt32(bytes.count / 4096))
                block = range.end
                if present.contains(seed) {
                    expected += UInt64(bytes.count)
                    #expect(same(try store.readAll(map, range), bytes))
                } else {
                    let handle = try #require(store.handle(of: descriptor(bytes)))
                    #expect(
                        store.segments(map, range)
                            == [Segment(source: .absent(handle), byteCount: bytes.count)])
                }
            }
            #expect(map.presentBytes == expected)
        }
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func behavesLikeItsModel(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        var harness = try Harness()
        for _ in 0..<80 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<2: try harness.addWhole(&generator)
            case 2..<6: try harness.addLazy(&generator)
            case 6..<12: try harness.enter(&generator)
            case 12..<14: harness.drop(&generator)
            case 14: harness.synchronize()
            case 15: try harness.evict(&generator)
            case 16..<18:
                harness.collect()
                try harness.check(exactly: true)
            case 18:
                try harness.reopen(afterCrash: false)
                try harness.check(exactly: false)
            default:
                try harness.reopen(afterCrash: true)
                try harness.check(exactly: false)
            }
        }
        harness.collect()
        try harness.check(exactly: true)
        harness.maps = [:]
        harness.collect()
        try harness.check(exactly: true)
        #expect(harness.store.statistics().packs == 0)
    }

    /// Readers see a chunk either absent or with its bytes, while it is fetched by several threads and
    /// ingested by another one, and while other images come and go.
    @Test func readersSeeAChunkAbsentOrWhole() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let contents = (0..<400 as Range<UInt64>).map { content($0, blocks: 4) }
        let map = try store.attachLazily(contents)
        let failures = Lock<[String]>([])
        let done = Lock(false)
        let seen = Lock((absent: 0, present: 0))
        let readers = try (0..<3 as Range<UInt32>).map { number in
            try NamedThread("reader") {
                var chunk = number * 131
                while !done.withLock({ $0 }) {
                    chunk = (chunk + 7) % 400
                    do {
                        let bytes = try store.readAll(map, BlockRange(start: chunk * 4, count: 4))
                        seen.withLock { $0.present += 1 }
                        if !same(bytes, contents[Int(chunk)]) { failures.withLock { $0.append("read") } }
                    } catch {
                        seen.withLock { $0.absent += 1 }
                        if case .absentChunk? = error as? ChunkStoreError { continue }
                        failures.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        let writers = try (0..<4 as Range<UInt64>).map { number in
            try NamedThread("writer") {
                var generator = SplitMix(seed: number)
                do {
                    let order = Array(0..<400).shuffled(using: &generator)
                    for start in stride(from: 0, to: 400, by: 40) {
                        let part = order[start..<start + 40].sorted()
                        if number == 0 {
                            let own = part.map { contents[$0] } + [content(9000 + UInt64(start), blocks: 3)]
                            _ = try store.store(own)
                            store.collectUnreferenced()
                        } else {
                            let entries = store.beginEntries(plannedBytes: 40 * 16384)
                            let chunks = map.chunks
                            for index in part { try entries.enter(chunks[index], contents[index]) }
                        }
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
        #expect(map.isComplete)
        store.collectUnreferenced()
        store.synchronizeFetched()
        store.finishReclaiming()
        #expect(store.statistics().chunks == 400)
        let allocated = store.statistics().allocatedBytes
        #expect((400 * 16384...400 * 16384 + 65536).contains(allocated))
        #expect(try ChunkStore(directory: directory.path).statistics().chunks == 400)
    }
}
