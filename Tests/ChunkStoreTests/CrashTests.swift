// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

@Suite struct CrashTests {
    /// Opens a store and checks that every chunk that it believes in reads back with its digest.
    @discardableResult
    private func check(_ path: String) throws -> Set<ChunkDescriptor> {
        let store = try ChunkStore(directory: path)
        let chunks = store.allChunks()
        for chunk in chunks { #expect(try store.read(chunk).count == Int(chunk.blockCount) * 4096) }
        return Set(chunks)
    }

    /// A store with frees behind adds in its index; returns the chunks that must be there.
    private func prepare(_ path: String) throws -> Set<ChunkDescriptor> {
        let store = try ChunkStore(directory: path)
        let kept = try store.store((0..<30).map { content($0, blocks: 1 + Int($0 % 5)) })
        _ = try store.store((30..<60).map { content($0, blocks: 2) })
        store.collectUnreferenced()
        store.finishReclaiming()
        let more = try store.store((60..<80).map { content($0, blocks: 3) })
        return Set(kept.map.chunks + more.map.chunks)
    }

    @Test func aShortenedIndexIsBelievedUpToItsEnd() throws {
        let directory = try TemporaryDirectory()
        let expected = try prepare(directory.path + "/s")
        #expect(try check(directory.path + "/s") == expected)
        let size = Int(try File(open: directory.path + "/s/index.log", O_RDONLY).size())
        for length in stride(from: 64, to: size, by: 331) {
            let copy = try directory.copy(directory.path + "/s", to: "copy")
            try File(open: copy + "/index.log", O_RDWR).truncate(to: UInt64(length))
            let found = try check(copy)
            #expect(found.isSubset(of: expected) || length < size - 20 * 48)
            // The store goes on from there.
            _ = try ChunkStore(directory: copy).store([content(1000, blocks: 4)])
            #expect(try check(copy).contains(descriptor(content(1000, blocks: 4))))
            try Directories.removeTree(copy)
        }
    }

    @Test func aDamagedRecordEndsTheIndex() throws {
        let directory = try TemporaryDirectory()
        _ = try prepare(directory.path + "/s")
        let size = Int(try File(open: directory.path + "/s/index.log", O_RDONLY).size())
        for byte in stride(from: 64, to: size, by: 379) {
            let copy = try directory.copy(directory.path + "/s", to: "copy")
            let file = try File(open: copy + "/index.log", O_RDWR)
            let old = try file.read(count: 1, at: UInt64(byte))
            try file.write([old[0] ^ 0x40], at: UInt64(byte))
            try check(copy)
            #expect(try ChunkStore(directory: copy).core.openReport.unbackedChunks == 0)
            let cut = 64 + (byte - 64) / 48 * 48
            #expect(try File(open: copy + "/index.log", O_RDONLY).size() <= UInt64(cut))
            try Directories.removeTree(copy)
        }
    }

    @Test func aShortenedArenaLosesOnlyWhatLayThere() throws {
        let directory = try TemporaryDirectory()
        let expected = try prepare(directory.path + "/s")
        let copy = try directory.copy(directory.path + "/s", to: "copy")
        let arena = try #require(try Directories.names(in: copy + "/arenas").first)
        let file = try File(open: copy + "/arenas/" + arena, O_RDWR)
        try file.truncate(to: try file.size() - 4096 * 5)
        let found = try check(copy)
        #expect(expected.subtracting(found).count == 2)
    }

    @Test func anUnfinishedSessionLeavesNothingBehind() throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path + "/s")
        let kept = try store.store([content(1, blocks: 16)])
        let session = store.beginIngest()
        for seed in 100..<200 as Range<UInt64> { try session.add(content(seed, blocks: 16)) }
        _ = try session.descriptors()
        let copy = try directory.copy(directory.path + "/s", to: "copy")
        try session.commit()
        let opened = try ChunkStore(directory: copy)
        #expect(opened.core.openReport.leakedBlocks == 1600)
        let map = try opened.attach(kept.map)
        #expect(opened.collectUnreferenced() == (0, 0))
        opened.finishReclaiming()
        #expect(opened.statistics().allocatedBytes == 65536)
        #expect(map.blockCount == 16)
        #expect(try check(directory.path + "/s").count == 101)
    }

    /// Synchronisations of files whose path ends like this fail, from the moment that it is set.
    private func failing(_ suffix: Lock<String?>) -> StoreHooks {
        StoreHooks(synchronize: { (file: File) throws(SystemError) in
            if let bad = suffix.withLock({ $0 }), file.path.hasSuffix(bad) {
                throw SystemError(EIO, "fdatasync", file.path)
            }
            try file.synchronizeData()
        })
    }

    @Test func aFailedSynchronisationOfDataIsNeverForgotten() throws {
        let directory = try TemporaryDirectory()
        let bad = Lock<String?>(nil)
        let store = try ChunkStore(directory: directory.path, hooks: failing(bad))
        let kept = try store.store([content(1, blocks: 16)])
        let first = store.beginIngest()
        let second = store.beginIngest()
        try first.add(content(2, blocks: 16))
        _ = try first.descriptors()
        try second.add(content(2, blocks: 16))
        try second.add(content(3, blocks: 16))
        _ = try second.descriptors()
        bad.withLock { $0 = ".arena" }
        #expect(throws: ChunkStoreError.self) { try first.commit() }
        bad.withLock { $0 = nil }
        // The disk is well again, but the pages of the other session are as lost as those of the first.
        #expect(throws: ChunkStoreError.self) { try second.commit() }
        #expect(!store.contains(descriptor(content(2, blocks: 16))))
        #expect(store.contains(kept.map.chunks[0]))
        first.release()
        second.release()
        let again = try store.store([content(2, blocks: 16), content(3, blocks: 16)])
        #expect(again.mappedBlockCount == 32)
        store.finishReclaiming()
        #expect(store.statistics().allocatedBytes == 3 * 65536)
    }

    @Test func aFailedSynchronisationOfTheIndexMakesTheStoreReadOnly() throws {
        let directory = try TemporaryDirectory()
        let bad = Lock<String?>(nil)
        let store = try ChunkStore(directory: directory.path, hooks: failing(bad))
        let kept = try store.store([content(1, blocks: 16)])
        bad.withLock { $0 = "index.log" }
        #expect(throws: ChunkStoreError.self) { try store.store([content(2, blocks: 16)]) }
        bad.withLock { $0 = nil }
        #expect(throws: ChunkStoreError.readOnly(path: directory.path + "/index.log")) {
            try store.store([content(3, blocks: 16)])
        }
        #expect(store.collectUnreferenced() == (0, 0))
        #expect(same(try store.read(kept.map.chunks[0]), content(1, blocks: 16)))
        let reopened = try ChunkStore(directory: directory.path, hooks: StoreHooks())
        #expect(same(try reopened.read(kept.map.chunks[0]), content(1, blocks: 16)))
    }

    @Test func compactionKeepsWhatLives() throws {
        let directory = try TemporaryDirectory()
        let kept: BlockMap
        do {
            let store = try ChunkStore(directory: directory.path)
            let resident = try store.store((0..<10).map { content($0, blocks: 1) })
            kept = resident.map
            for round in 0..<3 {
                _ = try store.store((0..<1000).map { content(1000 + UInt64(round) * 1000 + $0, blocks: 1) })
                store.collectUnreferenced()
            }
            #expect(store.statistics().indexBytes < 64 + 48 * 4000)
            store.finishReclaiming()
        }
        #expect(try check(directory.path) == Set(kept.chunks))
    }

    /// A copy made by `cp --sparse=always` has holes where chunks have blocks of zeros.
    @Test func blocksOfZerosMayBeHolesOfACopy() throws {
        let directory = try TemporaryDirectory()
        let contents = (0..<20 as Range<UInt64>).map { seed in
            var bytes = content(seed, blocks: 4)
            for block in 0..<3 where seed >> UInt64(block) & 1 == 1 {
                bytes.replaceSubrange(block * 4096..<(block + 1) * 4096, with: repeatElement(0, count: 4096))
            }
            return bytes
        }
        do { _ = try ChunkStore(directory: directory.path + "/s").store(contents) }
        let copy = try directory.copy(directory.path + "/s", to: "copy", sparse: "always")
        let arena = try #require(try Directories.names(in: copy + "/arenas").first)
        let file = try File(open: copy + "/arenas/" + arena, O_RDWR)
        try #require(try file.status().allocatedBytes < 80 * 4096)
        #expect(try check(copy) == Set(contents.map { descriptor($0) }))
        #expect(try ChunkStore(directory: copy).core.openReport == .init(records: 20))
        #expect(try file.status().allocatedBytes == 80 * 4096)
        // A hole where data was is found by the digest.
        try file.punchHole(at: 3 * 4096, count: 4096)
        try file.punchHole(at: 4 * 4 * 4096, count: 4 * 4096)
        let found = try check(copy)
        #expect(
            found
                == Set(
                    contents.map { descriptor($0) }.enumerated().filter { $0.0 != 0 && $0.0 != 4 }.map(\.1)))
    }
}
