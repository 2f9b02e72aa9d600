// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// Equal but for the few blocks in which the file system keeps the extents of a file with many holes.
private func isNear(_ allocated: UInt64, _ plain: UInt64) -> Bool {
    (plain...plain + 65536).contains(allocated)
}

@Suite struct ModelTests {
    /// The store beside a model of what it must hold: maps by a name, each a list of seeds.
    private struct Harness {
        let directory: TemporaryDirectory
        var store: ChunkStore
        var maps: [Int: (seeds: [UInt64], resident: ResidentMap)] = [:]
        var nextName = 0

        static func blocks(_ seed: UInt64) -> Int { 1 + Int(seed % 16) }
        static func bytes(_ seed: UInt64) -> [UInt8] { content(seed, blocks: blocks(seed)) }

        mutating func add(_ generator: inout SplitMix) throws {
            let count = Int.random(in: 1...40, using: &generator)
            let seeds = (0..<count).map { _ in UInt64.random(in: 0..<200, using: &generator) }
            let resident = try store.store(seeds.map(Self.bytes))
            maps[nextName] = (seeds, resident)
            nextName += 1
        }

        mutating func reopen() throws {
            let plain = maps.mapValues { ($0.seeds, $0.resident.map) }
            maps = [:]
            store.finishReclaiming()
            store = try ChunkStore(directory: directory.path + "/empty")
            store = try ChunkStore(directory: directory.path + "/s")
            for (name, map) in plain { maps[name] = (map.0, try store.attach(map.1)) }
        }

        func check(exactly: Bool) throws {
            for (_, map) in maps {
                let range = BlockRange(start: 0, count: map.resident.blockCount)
                let expected = concatenated(map.seeds.map(Self.bytes))
                #expect(same(try store.readAll(map.resident, range), expected))
            }
            let live = Set(maps.values.flatMap(\.seeds))
            let figures = store.statistics()
            let plain = live.reduce(0) { $0 + Self.blocks($1) * 4096 }
            if exactly {
                #expect(figures.chunks == live.count)
                #expect(figures.plainBytes == UInt64(plain))
                #expect(isNear(figures.allocatedBytes, UInt64(plain)))
            } else {
                #expect(figures.chunks >= live.count)
            }
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func behavesLikeADictionary(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let directory = try TemporaryDirectory()
        var harness = Harness(directory: directory, store: try ChunkStore(directory: directory.path + "/s"))
        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4: try harness.add(&generator)
            case 4..<7:
                if let name = harness.maps.keys.sorted().randomElement(using: &generator) {
                    harness.maps[name] = nil
                }
            case 7..<9:
                harness.store.collectUnreferenced()
                harness.store.finishReclaiming()
                try harness.check(exactly: true)
            default:
                try harness.reopen()
                try harness.check(exactly: false)
            }
        }
        harness.maps = [:]
        harness.store.collectUnreferenced()
        harness.store.finishReclaiming()
        try harness.check(exactly: true)
    }

    @Test func threadsAddTheSameAndDifferentDataWhileOthersReadAndFree() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let kept = try store.store((0..<50).map { content($0, blocks: 16) })
        let failures = Lock<[String]>([])
        let done = Lock(false)
        let reader = try NamedThread("reader") {
            var block: UInt32 = 0
            while !done.withLock({ $0 }) {
                let bytes = (try? store.readAll(kept, BlockRange(start: block, count: 16))) ?? []
                if !same(bytes, content(UInt64(block / 16), blocks: 16)) {
                    failures.withLock { $0.append("read") }
                }
                block = (block + 16) % 800
            }
        }
        let writers = try (0..<8 as Range<UInt64>).map { number in
            try NamedThread("writer") {
                for round in 0..<6 as Range<UInt64> {
                    do {
                        let shared = (0..<20).map { content(1000 + round * 20 + $0, blocks: 4) }
                        let own = (0..<20).map { content(10000 + number * 1000 + round * 20 + $0, blocks: 4) }
                        let map = try store.store(shared + own)
                        let bytes = try store.readAll(map, BlockRange(start: 0, count: 160))
                        if !same(bytes, concatenated(shared + own)) {
                            failures.withLock { $0.append("own") }
                        }
                        store.collectUnreferenced()
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        for writer in writers { writer.join() }
        done.withLock { $0 = true }
        reader.join()
        #expect(failures.withLock { $0 } == [])
        store.collectUnreferenced()
        store.finishReclaiming()
        #expect(store.statistics().chunks == 50)
        #expect(isNear(store.statistics().allocatedBytes, 50 * 65536))
    }

    @Test func aFullDiskIsReportedAndRecoveredFrom() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/small"
        try Directories.create(path)
        guard mount("tmpfs", path, "tmpfs", 0, "size=16m") == 0 else { return }
        defer { umount2(path, Int32(MNT_DETACH)) }
        let store = try ChunkStore(directory: path)
        let kept = try store.store((0..<100).map { content($0, blocks: 16) })
        let session = store.beginIngest()
        #expect {
            for seed in 1000..<2000 as Range<UInt64> { try session.add(content(seed, blocks: 16)) }
        } throws: { error in
            guard case .full = error as? ChunkStoreError else { return false }
            return true
        }
        session.release()
        store.finishReclaiming()
        #expect(store.statistics().chunks == 100)
        #expect(store.statistics().allocatedBytes == 100 * 65536)
        let more = try store.store((200..<250).map { content($0, blocks: 16) })
        #expect(more.mappedBlockCount == 800)
        #expect(same(try store.read(kept.map.chunks[99]), content(99, blocks: 16)))
    }
}
