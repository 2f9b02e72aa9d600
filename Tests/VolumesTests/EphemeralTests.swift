// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import GRDB
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Volumes that nobody wants back after the end of the process.
@Suite struct EphemeralTests {
    private let directory: TestDirectory
    private var root: String { directory.path + "/root" }
    private let content: [UInt8]

    init() throws {
        directory = try TestDirectory()
        var random = SplitMix(seed: 11)
        content = random.bytes(32 * Block.bytes)
    }

    private func deltas() throws -> [String] { try Directories.names(in: root + "/deltas") }

    private func changed(_ change: [UInt8], at offset: Int) -> [UInt8] {
        var changed = content
        changed.replaceSubrange(offset..<offset + change.count, with: change)
        return changed
    }

    @Test func itReadsAsItWasWritten() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: content)
        let volume = try store.clone(image: "i", as: "v", ephemeral: true)
        #expect(try store.volume(named: "v").isEphemeral)
        try volume.write([1, 2, 3], at: 5000)
        try volume.write([UInt8](repeating: 9, count: 8192), at: 16384)
        try volume.discard(offset: 16384, count: 4096)
        try volume.synchronize()
        var wanted = changed([1, 2, 3], at: 5000)
        wanted.replaceSubrange(16384..<20480, with: [UInt8](repeating: 0, count: 4096))
        wanted.replaceSubrange(20480..<24576, with: [UInt8](repeating: 9, count: 4096))
        expectEqual(try volume.content(), wanted, "volume")
        try volume.resize(to: 64 * 4096)
        try volume.resize(to: 4 * 4096)
        expectEqual(try volume.content(), Array(wanted[..<16384]), "shorter volume")
    }

    @Test func itsNameIsFreeAtOnceAndItsUsersFinishInPeace() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: content)
        let first = try store.clone(image: "i", as: "v", ephemeral: true)
        try first.write([7], at: 0)
        let untouched = try store.clone(image: "i", as: "w", ephemeral: true)
        for name in ["v", "w"] { try store.remove(name) }
        #expect(store.volumes().isEmpty)
        let second = try store.clone(image: "i", as: "v", ephemeral: true)
        expectEqual(try second.content(), content, "new volume")
        // The kernel writes to a file system that is still to end.
        try first.write([8], at: 1)
        try untouched.write([8], at: 1)
        expectEqual(try first.content(at: 0, count: 2), [7, 8], "removed volume")
        expectEqual(try untouched.content(at: 1, count: 1), [8], "removed volume without files")
        #expect(eventuallyNoDeltas())
    }

    @Test(arguments: [1, 2] as [UInt8]) func theNextStartRemovesIt(secondBoot: UInt8) throws {
        var store: VolumeStore? = try VolumeStore(root: root, bootID: boot(1))
        try store?.addImage("i", content: content)
        try store?.clone(image: "i", as: "kept").write([1], at: 0)
        try store?.blockFile(volume: "kept").synchronize()
        try store?.clone(image: "i", as: "gone", ephemeral: true).write([2], at: 0)
        _ = try store?.snapshot(volume: "gone", as: "s")
        try store?.waitUntilSealed("s")
        try store?.remove("i")
        try store?.blockFile(volume: "gone").write([3], at: 0)
        store?.close()
        store = nil
        let opened = try VolumeStore(root: root, bootID: boot(secondBoot))
        #expect(opened.volumes().map(\.name) == ["kept"])
        #expect(try deltas().count == 2)
        expectEqual(try opened.blockFile(volume: "kept").content(), changed([1], at: 0), "kept")
        expectEqual(try opened.content(image: "s"), changed([2], at: 0), "snapshot")
    }

    /// Who still uses it names it to the process that takes over.
    @Test func whoTakesOverFindsIt() throws {
        var store: VolumeStore? = try VolumeStore(root: root, bootID: boot(1))
        try store?.addImage("i", content: content)
        let volume = try store?.clone(image: "i", as: "wanted", ephemeral: true)
        _ = try store?.clone(image: "i", as: "untouched", ephemeral: true)
        try store?.clone(image: "i", as: "gone", ephemeral: true).write([2], at: 0)
        try volume?.write([UInt8](repeating: 5, count: 8192), at: 4096)
        _ = try store?.snapshot(volume: "wanted", as: "s")
        try volume?.write([7, 8], at: 5000)
        try volume?.discard(offset: 8192, count: 4096)
        try volume?.discard(offset: 16384, count: 4096)
        let id = volume?.id
        var wanted = changed([UInt8](repeating: 5, count: 8192), at: 4096)
        wanted.replaceSubrange(5000..<5002, with: [7, 8])
        wanted.replaceSubrange(8192..<12288, with: [UInt8](repeating: 0, count: 4096))
        wanted.replaceSubrange(16384..<20480, with: [UInt8](repeating: 0, count: 4096))
        store?.close()
        store = nil
        let heirs = Inheritance(snapshots: []) { $0 != "gone" }
        for round in 1...2 {
            store = try VolumeStore(root: root, bootID: boot(1), inheritance: heirs)
            #expect(store?.volumes().map(\.name) == ["untouched", "wanted"])
            let found = try store?.blockFile(volume: "wanted")
            #expect(found?.id == id && found?.isEphemeral == true)
            expectEqual(try found?.content() ?? [], wanted, "volume, round \(round)")
            try found?.write([UInt8(round)], at: 0)
            wanted[0] = UInt8(round)
            store?.close()
            store = nil
        }
        store = try VolumeStore(root: root, bootID: boot(1))
        #expect(store?.volumes().isEmpty == true)
    }

    /// A log that nobody flushes is cut short all the same.
    @Test func itsLogDoesNotGrowForEver() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: content)
        let volume = try store.clone(image: "i", as: "v", ephemeral: true)
        for _ in 0..<(DeltaLimits.compactAtRecords / 2 + 10) {
            try volume.discard(offset: 0, count: 4096)
            try volume.write([UInt8](repeating: 1, count: 4096), at: 0)
        }
        let delta = volume.layers.delta
        let records = delta.files.withLock { $0.log?.recordCount ?? 0 }
        #expect(records < 1000, "\(records)")
        expectEqual(try volume.content(at: 0, count: 1), [1], "volume")
    }

    /// What is mounted stays although its image has gone, and goes when it is let go.
    @Test func aHeldSnapshotStays() throws {
        var store: VolumeStore? = try VolumeStore(root: root)
        _ = try store?.addImage("i", content: content)
        let id = try #require(try store?.image(named: "i").id)
        store?.hold(snapshot: id)
        try store?.remove("i")
        store?.close()
        store = nil
        store = try VolumeStore(root: root, inheritance: Inheritance(snapshots: [id]) { _ in false })
        guard case .snapshot(let snapshot, _) = try store?.blockFile(numbered: id) else {
            Issue.record("the snapshot has gone")
            return
        }
        #expect(snapshot.brokenReason == nil)
        try store?.letGo(snapshot: id)
        #expect(throws: VolumeError.self) { try store?.blockFile(numbered: id) }
    }

    private func eventuallyNoDeltas() -> Bool {
        let deadline = MonotonicTime.now.advanced(bySeconds: 10)
        while (try? deltas())?.isEmpty != true, MonotonicTime.now < deadline { usleep(10_000) }
        return (try? deltas())?.isEmpty == true
    }

    /// A snapshot is as durable as any, whether it is sealed before the end or not.
    @Test(arguments: [true, false]) func itsSnapshotsStay(isSealed: Bool) throws {
        var store: VolumeStore? = try VolumeStore(root: root, bootID: boot(1))
        try store?.addImage("i", content: content)
        let volume = try store?.clone(image: "i", as: "v", ephemeral: true)
        try volume?.write([UInt8](repeating: 5, count: 4096), at: 4096)
        _ = try store?.snapshot(volume: "v", as: "one")
        try volume?.write([6], at: 0)
        try volume?.discard(offset: 8192, count: 4096)
        _ = try store?.snapshot(volume: "v", as: "two")
        // Nothing has changed since: the same content by another name.
        _ = try store?.snapshot(volume: "v", as: "three")
        try volume?.write([9], at: 5)
        if isSealed { try store?.waitUntilSealed("two") }
        store?.close()
        store = nil
        let opened = try VolumeStore(root: root, bootID: boot(2))
        #expect(opened.volumes().isEmpty)
        #expect(opened.images().allSatisfy { $0.brokenReason == nil })
        let one = changed([UInt8](repeating: 5, count: 4096), at: 4096)
        var two = one
        two[0] = 6
        two.replaceSubrange(8192..<12288, with: [UInt8](repeating: 0, count: 4096))
        expectEqual(try opened.content(image: "one"), one, "first snapshot")
        expectEqual(try opened.content(image: "two"), two, "second snapshot")
        expectEqual(try opened.content(image: "three"), two, "third snapshot")
        for name in ["one", "two", "three"] { try opened.waitUntilSealed(name) }
        let deadline = MonotonicTime.now.advanced(bySeconds: 10)
        while try !deltas().isEmpty, MonotonicTime.now < deadline { usleep(10_000) }
        #expect(try deltas().isEmpty)
    }

    /// Writers go on while the snapshot is taken; each block is of one moment.
    @Test func itIsSnapshottedWhileItIsWrittenTo() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: content)
        let volume = try store.clone(image: "i", as: "v", ephemeral: true)
        try volume.write([UInt8](repeating: 0, count: 32 * 4096), at: 0)
        let isDone = Monitor(false)
        let writer = try NamedThread("writer") {
            var value: UInt8 = 0
            while isDone.withLock({ !$0 }) {
                value &+= 1
                for block in 0..<32 {
                    try? volume.write([UInt8](repeating: value, count: 4096), at: UInt64(block) * 4096)
                }
            }
        }
        for number in 0..<10 { _ = try store.snapshot(volume: "v", as: "s\(number)") }
        isDone.withLock { $0 = true }
        writer.join()
        for number in 0..<10 {
            let bytes = try store.content(image: "s\(number)")
            for block in 0..<32 {
                #expect(
                    Set(bytes[block * 4096..<(block + 1) * 4096]).count == 1, "s\(number), block \(block)")
            }
        }
    }

    @Test func whatOnlyItHeldGoesWithIt() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: content)
        _ = try store.clone(image: "i", as: "v", ephemeral: true)
        try store.remove("i")
        #expect(try !Directories.names(in: root + "/maps").isEmpty)
        try store.remove("v")
        let deadline = MonotonicTime.now.advanced(bySeconds: 10)
        while store.chunks.statistics().chunks > 0, MonotonicTime.now < deadline { usleep(10_000) }
        #expect(store.chunks.statistics().chunks == 0)
        #expect(try Directories.names(in: root + "/maps").isEmpty)
    }

    /// Without the column no volume is ephemeral.
    @Test func aCatalogWithoutTheColumnIsTakenOver() throws {
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.createVolume(named: "v", sizeBytes: 8192).write([1], at: 0)
        store?.close()
        store = nil
        let queue = try DatabaseQueue(path: root + "/catalog.db")
        try queue.write { try $0.execute(sql: "ALTER TABLE volumes DROP COLUMN ephemeral") }
        try queue.close()
        let opened = try VolumeStore(root: root)
        #expect(opened.volumes().map(\.isEphemeral) == [false])
    }
}
