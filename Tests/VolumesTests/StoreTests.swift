// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

@Suite struct StoreTests {
    private let directory: TestDirectory
    private let root: String

    init() throws {
        directory = try TestDirectory()
        root = directory.path + "/root"
    }

    private static func blocks(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
        var random = SplitMix(seed: seed)
        return random.bytes(count * Block.bytes)
    }

    @Test func aSecondDaemonIsRefused() throws {
        let store = try VolumeStore(root: root)
        do {
            _ = try VolumeStore(root: root)
            Issue.record("two stores on one directory")
        } catch {
            #expect(error.description.contains("another slacker daemon"))
        }
        store.close()
    }

    @Test func aNewerFormatIsRefused() throws {
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.registry.catalog.transaction { try Catalog.writeFormat(Catalog.formatVersion + 1, $0) }
        store = nil
        #expect(throws: VolumeError.self) { try VolumeStore(root: root) }
    }

    @Test func namesAreOneSpaceAndErrorsSayWhatToDo() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("debian", content: Self.blocks(4))
        _ = try store.clone(image: "debian", as: "box")
        #expect(throws: VolumeError.self) { try store.clone(image: "debian", as: "box") }
        #expect(throws: VolumeError.self) { try store.clone(image: "debian", as: "debian") }
        #expect(throws: VolumeError.self) { try store.snapshot(volume: "box", as: "box") }
        #expect(throws: VolumeError.self) { try store.addImage("box", content: Self.blocks(4)) }
        do {
            _ = try store.clone(image: "debain", as: "other")
        } catch {
            #expect(error.description.contains("did you mean 'debian'"))
            #expect(error.errorNumber == ENOENT)
        }
        #expect(store.kind(of: "debian") == .image && store.kind(of: "box") == .volume)
    }

    @Test func aVolumeInUseStays() throws {
        let store = try VolumeStore(root: root)
        _ = try store.createVolume(named: "v", sizeBytes: 65536)
        try store.setInUse("v", "mounted at /mnt")
        #expect(throws: VolumeError.self) { try store.remove("v") }
        #expect(try store.volume(named: "v").inUse == "mounted at /mnt")
        try store.setInUse("v", nil)
        try store.remove("v")
        #expect(store.volumes().isEmpty)
    }

    @Test func anUntouchedCloneHasNoFileAndAWriteMakesThem() throws {
        let store = try VolumeStore(root: root)
        try store.addImage("i", content: Self.blocks(4))
        let volume = try store.clone(image: "i", as: "v")
        try volume.synchronize()
        #expect(try Directories.names(in: root + "/deltas").isEmpty)
        try volume.write([1, 2, 3], at: 5000)
        #expect(try Directories.names(in: root + "/deltas").count == 2)
        #expect(volume.dirtyBytes == 4096)
        try store.remove("v")
        #expect(try Directories.names(in: root + "/deltas").isEmpty)
    }

    @Test func discardingWhatIsNotThereTakesNothing() throws {
        let store = try VolumeStore(root: root)
        let volume = try store.createVolume(named: "v", sizeBytes: 1 << 30)
        try volume.discard(offset: 0, count: 1 << 30)
        #expect(try Directories.names(in: root + "/deltas").isEmpty && volume.dirtyBytes == 0)
        #expect(try volume.seekData(from: 0) == nil)
        #expect(try volume.seekHole(from: 5) == 5)
    }

    @Test func writesOutsideAreRefusedAndReadsAreShort() throws {
        let store = try VolumeStore(root: root)
        let volume = try store.createVolume(named: "v", sizeBytes: 8192)
        for (offset, count) in [(UInt64(8192), 1), (UInt64(4096), 4097), (.max, 10), (.max - 5, 4096)] {
            #expect(throws: VolumeError.self) {
                _ = try volume.write(at: offset, count: count) { (_, _) throws(SystemError) in count }
            }
        }
        #expect(try volume.content(at: 8000, count: 4096).count == 192)
        #expect(try volume.content(at: .max - 1, count: 4096).isEmpty)
        #expect(throws: VolumeError.self) { try volume.resize(to: 4095) }
        #expect(throws: VolumeError.self) { try volume.resize(to: 0) }
        #expect(throws: VolumeError.self) { try volume.resize(to: 1 << 60) }
    }

    @Test func aTransferThatFailsHalfwayChangesNothingElse() throws {
        let store = try VolumeStore(root: root)
        let content = Self.blocks(8)
        try store.addImage("i", content: content)
        let volume = try store.clone(image: "i", as: "v")
        let junk = [UInt8](repeating: 0xEE, count: 6000)
        let written = try volume.write(at: 0, count: 16384) { (descriptor, offset) throws(SystemError) in
            pwrite(descriptor, junk, junk.count, off_t(offset))
        }
        #expect(written == 4096)
        #expect(throws: VolumeError.self) {
            _ = try volume.write(at: 16384, count: 4096) { (descriptor, offset) throws(SystemError) in
                _ = pwrite(descriptor, junk, 100, off_t(offset))
                throw SystemError(ENOSPC, "splice", "test")
            }
        }
        var wanted = content
        wanted.replaceSubrange(0..<4096, with: junk[..<4096])
        expectEqual(try volume.content(), wanted, "volume")
        // What the failed transfers left in the file must not show through a zero block.
        try volume.discard(offset: 4096, count: 28672)
        wanted.replaceSubrange(4096..<32768, with: [UInt8](repeating: 0, count: 28672))
        expectEqual(try volume.content(), wanted, "volume after discard")
    }

    @Test func chunksGoWithTheirLastUser() throws {
        let store = try VolumeStore(root: root)
        let content = Self.blocks(32)
        try store.addImage("i", content: content)
        let volume = try store.clone(image: "i", as: "v")
        try store.remove("i")
        expectEqual(try volume.content(), content, "clone of a removed image")
        try volume.write(Self.blocks(1, 9), at: 0)
        _ = try store.snapshot(volume: "v", as: "j")
        try store.waitUntilSealed("j")
        try store.remove("v")
        #expect(try store.content(image: "j").count == content.count)
        try store.remove("j")
        #expect(try Directories.names(in: root + "/maps").isEmpty)
        #expect(store.usage().referencedBytes == 0)
    }

    @Test func usageTellsSharedFromUnique() throws {
        let store = try VolumeStore(root: root)
        let content = Self.blocks(32)
        try store.addImage("a", content: content)
        try store.addImage("b", content: content + Self.blocks(16, 5))
        let usage = store.usage()
        #expect(usage.images.map(\.uniqueBytes) == [0, 65536])
        #expect(usage.images.map(\.sharedBytes) == [131072, 131072])
        #expect(usage.chunkBytes == 196608 && usage.referencedBytes == 327680)
    }

    @Test func aChainOf128SnapshotsReadsBeforeAndAfterSealing() throws {
        let store = try VolumeStore(root: root)
        var content = Self.blocks(140)
        try store.addImage("i0", content: content)
        store.sealer.stop()
        for level in 1...128 {
            let volume = try store.clone(image: "i\(level - 1)", as: "v\(level)")
            let block = Self.blocks(1, UInt64(level + 50))
            try volume.write(block, at: UInt64(level * Block.bytes))
            content.replaceSubrange(level * Block.bytes..<(level + 1) * Block.bytes, with: block)
            _ = try store.snapshot(volume: "v\(level)", as: "i\(level)")
        }
        expectEqual(try store.content(image: "i128"), content, "before sealing")
        let top = try store.blockFile(image: "i128")
        for level in 1...128 {
            var snapshot = top
            while let below = snapshot.below, !below.isSealed { snapshot = below }
            _ = try Seal(store.registry) { false }.run(snapshot)
            if level == 64 { expectEqual(try store.content(image: "i128"), content, "half sealed") }
        }
        #expect(top.isSealed)
        expectEqual(try store.content(image: "i128"), content, "after sealing")
        #expect(try Directories.names(in: root + "/deltas").isEmpty)
    }

    @Test func whatNobodyKnowsIsClearedAtTheStart() throws {
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.addImage("i", content: Self.blocks(4))
        store = nil
        let strays = [
            "maps/x.new", "deltas/0000000000000001.data", "deltas/0000000000000001.log", "deltas/y.log.new",
        ]
        for name in strays { try File(open: "\(root)/\(name)", O_CREAT | O_WRONLY).write([1, 2, 3], at: 0) }
        store = try VolumeStore(root: root)
        #expect(try Directories.names(in: root + "/deltas").isEmpty)
        #expect(try Directories.names(in: root + "/maps").count == 1)
        #expect(try store?.content(image: "i").count == 16384)
    }
}
