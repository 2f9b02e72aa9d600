// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@testable import ChunkStore

@Suite struct PlaceTests {
    /// A map of chunks that exist by name only.
    private func map(_ count: Int, _ generator: inout SplitMix) -> BlockMap {
        .of(
            (0..<count).map { index in
                let digest = Digest(words: (generator.next(), generator.next(), 0, UInt64(index)))
                return ChunkDescriptor(
                    digest: digest, blockCount: UInt8.random(in: 1...16, using: &generator))
            })
    }

    /// A table of a map with a few packs, some chunks local, most of them in the order of the map.
    private func table(_ map: BlockMap, _ generator: inout SplitMix) -> PlaceTable {
        let packs = (0..<3 as Range<UInt64>).map {
            PackInfo(digest: Digest(words: ($0, generator.next(), 0, 0)), sizeBytes: 1 << 30)
        }
        var ends: [UInt64] = [16, 16, 500]
        var pack = 0
        let places = map.chunks.map { chunk -> Place? in
            if Int.random(in: 0..<10, using: &generator) == 0 {
                pack = Int.random(in: 0..<3, using: &generator)
            }
            if Int.random(in: 0..<30, using: &generator) == 0 { return nil }
            if Int.random(in: 0..<30, using: &generator) == 0 {
                ends[pack] = UInt64.random(in: 16..<1 << 29, using: &generator)
            }
            let plain = UInt32(chunk.blockCount) * 4096
            let isPlain = Bool.random(using: &generator)
            let count = isPlain ? plain : UInt32.random(in: 1..<plain, using: &generator)
            defer { ends[pack] += UInt64(count) }
            return Place(
                pack: pack, offset: ends[pack], byteCount: count, coding: isPlain ? .plain : .zstd)
        }
        let held = places.count { $0?.pack == 1 }
        return PlaceTable(packs: packs, places: places, bootPack: held > 0 ? 1 : nil, bootChunks: held / 2)
    }

    @Test(arguments: 0..<30 as Range<UInt64>) func codingIsFaithful(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let map = map(Int.random(in: 0...300, using: &generator), &generator)
        let table = table(map, &generator)
        let bytes = table.encode()
        #expect(try PlaceTable(decoding: bytes, for: map) == table)
        let empty = PlaceTable(localOnly: map)
        #expect(try PlaceTable(decoding: empty.encode(), for: map) == empty)
    }

    @Test(arguments: 0..<30 as Range<UInt64>) func differencesAreFaithful(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let old = map(Int.random(in: 1...300, using: &generator), &generator)
        let oldTable = table(old, &generator)
        // Most chunks stay, some go, some come, and one place changes.
        var chunks = old.chunks.filter { _ in Int.random(in: 0..<10, using: &generator) > 0 }
        let more = map(Int.random(in: 0...20, using: &generator), &generator)
        chunks.insert(contentsOf: more.chunks, at: Int.random(in: 0...chunks.count, using: &generator))
        let new = BlockMap.of(chunks)
        let pack = PackInfo(digest: Digest(words: (7, 7, 7, 7)), sizeBytes: 1 << 30)
        let numbers = Dictionary(old.chunks.enumerated().map { ($1, $0) }) { first, _ in first }
        var end: UInt64 = 16
        let places = new.chunks.map { chunk -> Place? in
            if let index = numbers[chunk] { return oldTable.places[index] }
            let count = UInt32(chunk.blockCount) * 4096
            defer { end += UInt64(count) }
            return Place(pack: 3, offset: end, byteCount: count, coding: .plain)
        }
        let newTable = PlaceTable(packs: oldTable.packs + [pack], places: places, bootPack: 3, bootChunks: 2)
        let bytes = newTable.difference(of: new, from: oldTable, of: old)
        let read = try PlaceTable(decodingDifference: bytes, for: new, from: oldTable, of: old)
        #expect(read == newTable)
        #expect(throws: ChunkStoreError.self) { try PlaceTable(decoding: bytes, for: new) }
        let other = PlaceTable(localOnly: old)
        #expect(throws: ChunkStoreError.self) {
            try PlaceTable(decodingDifference: bytes, for: new, from: other, of: old)
        }
    }

    @Test func aTableOfAnImageTakesTwoBytesAChunkAndItsDifferenceAlmostNothing() throws {
        var generator = SplitMix(seed: 3)
        let map = map(20000, &generator)
        let table = PlaceTable.madeUp(for: map)
        #expect(table.encode().count < 20000 * 2 + 200)
        let changed = BlockMap.of(map.chunks.dropLast(100) + self.map(100, &generator).chunks)
        let places = table.places.dropLast(100) + Array(repeating: nil, count: 100)
        let new = PlaceTable(packs: table.packs, places: Array(places))
        #expect(new.difference(of: changed, from: table, of: map).count < 200)
    }

    @Test func damagedTablesAreRefused() throws {
        var generator = SplitMix(seed: 11)
        let map = map(60, &generator)
        let table = table(map, &generator)
        let bytes = table.encode()
        for length in stride(from: 0, to: bytes.count, by: 3) {
            #expect(throws: ChunkStoreError.self) {
                try PlaceTable(decoding: Array(bytes[..<length]), for: map)
            }
        }
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            #expect(throws: ChunkStoreError.self) { try PlaceTable(decoding: damaged, for: map) }
            // With a checksum that fits it is read to the end, and what comes out keeps every promise.
            let body = Array(damaged.dropLast(4))
            var writer = ByteWriter()
            writer.put(body)
            writer.put(CRC32C.checksum(body))
            if let read = try? PlaceTable(decoding: writer.bytes, for: map) {
                #expect(read.complaint == nil && read.complaint(as: map) == nil)
            }
        }
        #expect(throws: ChunkStoreError.self) { try PlaceTable(decoding: bytes + [0], for: map) }
        #expect(throws: ChunkStoreError.self) { try PlaceTable(decoding: bytes, for: BlockMap(zeros: 5)) }
    }

    @Test func aChunkHasSeveralPlacesAndTheLastThatFailedComesLast() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let contents = (0..<5 as Range<UInt64>).map { content($0, blocks: 2) }
        let map = try store.attachLazily(contents, pack: 1)
        let again = try store.attachLazily(contents, pack: 2)
        let handle = map.chunks[2]
        let places = store.places(of: handle)
        #expect(places.map(\.pack.digest.words.0) == [1, 2])
        #expect(places.map { $0.sources.map(store.sources.uri) } == [["test:1"], ["test:2"]])
        #expect(store.place(of: handle) == places[0])
        store.demote(places[0], of: handle)
        #expect(store.places(of: handle) == [places[1], places[0]])
        #expect(store.place(of: map.chunks[1])?.pack.digest.words.0 == 1)
        // Tables are hostile: a chunk does not collect places for ever.
        for pack in 3..<20 as Range<UInt64> { _ = try store.attachLazily(contents, pack: pack) }
        #expect(store.places(of: handle).count == 4)
        #expect(store.statistics().packs == 4)
        #expect(again.blockCount == 10)
    }

    @Test func placesForADerivedMapAreThoseOfItsChunks() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let contents = (0..<20 as Range<UInt64>).map { content($0, blocks: 2) }
        let base = BlockMap.of(contents.map(descriptor))
        let table = PlaceTable.madeUp(for: base, bootChunks: 6)
        let source = try store.sources.intern("test:1")
        let map = try store.attach(base, places: table, sources: [source])
        #expect(map.bootChunks == Array(map.chunks[..<6]))
        let own = try store.store([content(100, blocks: 3)])
        let derived = BlockMap.of(own.map.chunks + Array(base.chunks[3..<15]))
        let places = store.places(for: derived)
        #expect(places.places[0] == nil)
        #expect(places.places[1...].map { $0?.offset } == table.places[3..<15].map { $0?.offset })
        #expect(places.packs == table.packs && places.bootPack == 0 && places.bootChunks == 3)
        let clone = try store.attach(derived, places: places, sources: [source])
        #expect(clone.presentBytes == 3 * 4096)
        #expect(store.sources(of: table.packs[0]) == [source])
        // After a push the rest has a place too, and of several the wanted source's is taken.
        let second = try store.sources.intern("test:2")
        store.notePlaces(derived, .madeUp(for: derived, pack: 5), sources: [second])
        #expect(store.places(for: derived).packs.count == 2)
        let preferred = store.places(for: derived, preferring: second)
        #expect(preferred.packs.map(\.digest.words.0) == [5])
    }

    @Test func sourcesHaveOneNumberEach() throws {
        let registry = SourceRegistry()
        let first = try registry.intern("dir:/a")
        #expect(try registry.intern(["dir:/b", "dir:/a"])[1] == first)
        #expect(registry.uri(of: first) == "dir:/a")
        #expect(registry.uri(of: SourceID(index: 9)) == "")
    }
}
