// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Images of which chunks are absent.
@Suite struct LazyTests {
    private let directory: TestDirectory
    private let root: String

    init() throws {
        directory = try TestDirectory()
        root = directory.path + "/root"
    }

    private func blocks(_ start: UInt32, _ count: UInt32) -> BlockRange {
        BlockRange(start: start, count: count)
    }

    /// The blocks that a read of the whole image waits for.
    private func absent(_ store: VolumeStore, _ image: String) throws -> AbsentBlocks? {
        let file = try store.blockFile(image: image)
        var scratch = SegmentScratch()
        return try file.withSegments(offset: 0, count: Int(file.sizeBytes), using: &scratch) {
            $0.absentBlocks()
        }
    }

    @Test func anImageIsThereBeforeItsChunks() throws {
        let store = try VolumeStore(root: root)
        let remote = RemoteImage.random(blocks: 100)
        let record = try store.addImage("i", remote)
        #expect(record.isSealed && record.localBytes == 0 && record.dataBytes == 409600)
        #expect(record.sources == ["dir:/there"])
        let absent = try #require(try absent(store, "i"))
        #expect(absent.handles.count == 7 && absent.range == blocks(0, 100))
        #expect(try store.blockFile(image: "i").seekData(from: 0) == 0)
        do {
            _ = try store.blockFile(image: "i").read(offset: 0, count: 4096, fetchingWith: nil)
            Issue.record("read what is not here")
        } catch { #expect(error.errorNumber == EIO && "\(error)".contains("have not been fetched")) }
        try remote.deliver(blocks(0, 20), to: store, image: "i")
        #expect(try store.image(named: "i").localBytes == 32 * 4096)
        #expect(store.usage().images.map(\.localBytes) == [32 * 4096])
        let bytes = try store.blockFile(image: "i").read(offset: 5000, count: 100_000, fetchingWith: nil)
        expectEqual(bytes, Array(remote.content[5000..<105_000]), "what has come")
    }

    @Test func absentChunksSurviveARestart() throws {
        let remote = RemoteImage.random(blocks: 64)
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.addImage("i", remote, sources: ["a:1", "b:2"])
        let volume = try #require(try store?.clone(image: "i", as: "v"))
        try volume.write([UInt8](repeating: 3, count: 4096), at: 0)
        if let store { try remote.deliver(blocks(0, 16), to: store, image: "i") }
        store = nil
        let again = try VolumeStore(root: root)
        let record = try again.image(named: "i")
        #expect(record.brokenReason == nil && record.sources == ["a:1", "b:2"])
        #expect(record.localBytes == 65536)
        let absent = try #require(try absent(again, "i"))
        #expect(absent.range == blocks(16, 48))
        let place = try #require(again.chunks.place(of: absent.handles[0]))
        #expect(place.sources.map(again.chunks.sources.uri) == ["a:1", "b:2"])
        try remote.deliver(blocks(0, 64), to: again, image: "i")
        expectEqual(try again.content(image: "i"), remote.content, "all has come")
        let (table, sources) = try again.places(ofImage: "i")
        #expect(table == remote.places && sources == ["a:1", "b:2"])
        try again.remove("v")
        try again.remove("i")
        #expect(try Directories.names(in: root + "/maps").isEmpty)
    }

    @Test(arguments: [true, false])
    func aLostTableOfPlacesHarmsOnlyWhatIsAbsent(_ isRemoved: Bool) throws {
        let (whole, partial) = (RemoteImage.random(blocks: 32), RemoteImage.random(blocks: 32, seed: 2))
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.addImage("whole", whole)
        try store?.addImage("partial", partial)
        if let store { try whole.deliver(blocks(0, 32), to: store, image: "whole") }
        store = nil
        for name in try Directories.names(in: root + "/maps") where name.hasSuffix(".places") {
            let path = "\(root)/maps/\(name)"
            if isRemoved { unlink(path) } else { try File(open: path, O_RDWR).write([0xEE], at: 40) }
        }
        let again = try VolumeStore(root: root)
        #expect(try again.image(named: "whole").brokenReason == nil)
        expectEqual(try again.content(image: "whole"), whole.content, "whole")
        #expect(try again.image(named: "partial").brokenReason?.contains("block map cannot be used") == true)
        // Pulling it again, under another name or after removing it, helps.
        try again.remove("partial")
        try again.addImage("partial", partial)
        #expect(try again.image(named: "partial").brokenReason == nil)
    }

    @Test func aTableOfAnotherMapIsRefused() throws {
        let store = try VolumeStore(root: root)
        let (one, other) = (RemoteImage.random(blocks: 32), RemoteImage.random(blocks: 64, seed: 2))
        #expect(throws: VolumeError.self) {
            try store.addImage(
                name: "i", map: EncodedBlockMap(one.map), places: other.places, sources: [],
                configuration: [], source: "",
                session: nil)
        }
        #expect(throws: VolumeError.self) {
            try store.addImage(
                name: "i", map: EncodedBlockMap(one.map), places: nil, sources: [], configuration: [],
                source: "", session: nil
            )
        }
        #expect(store.images().isEmpty)
        #expect(try Directories.names(in: root + "/maps").isEmpty)
        try store.addImage("i", one)
        #expect(throws: VolumeError.self) { try store.setPlaces(of: "i", other.places, sources: []) }
    }

    @Test func aSnapshotOverAbsentChunksIsSealedWithoutThem() throws {
        let remote = RemoteImage.random(blocks: 64)
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.addImage("i", remote, sources: ["a:1"])
        try store?.setProfile(
            BootProfile([.init(chunk: remote.map.chunks[0].digest, first: 0, count: 2)]),
            ofImage: "i")
        var random = SplitMix(seed: 7)
        var content = remote.content
        let change = random.bytes(3 * 4096)
        content.replaceSubrange(4096 * 10..<4096 * 13, with: change)
        try store?.clone(image: "i", as: "v").write(change, at: 4096 * 10)
        _ = try store?.snapshot(volume: "v", as: "j")
        try store?.waitUntilSealed("j")
        let record = try #require(try store?.image(named: "j"))
        #expect(record.sources == ["a:1"] && record.localBytes == 3 * 4096)
        #expect(try store?.profile(ofImage: "j")?.byteCount == 8192)
        try store?.remove("v")
        try store?.remove("i")
        store = nil
        let again = try VolumeStore(root: root)
        #expect(try again.image(named: "j").brokenReason == nil)
        #expect(try again.image(named: "j").localBytes == 3 * 4096)
        #expect(try again.places(ofImage: "j").table.packs == remote.places.packs)
        try remote.deliver(blocks(0, 64), to: again, image: "j")
        expectEqual(try again.content(image: "j"), content, "snapshot")
    }

    @Test func aBlockThatIsWrittenInPartHasToBeHere() throws {
        let store = try VolumeStore(root: root)
        let remote = RemoteImage.random(blocks: 64)
        try store.addImage("i", remote)
        let volume = try store.clone(image: "i", as: "v")
        var content = remote.content
        for (offset, count) in [(100, 10), (4096 * 20 + 1, 8192), (4096 * 40, 5000)] {
            #expect(throws: VolumeError.self) {
                try volume.write([UInt8](repeating: 1, count: count), at: UInt64(offset))
            }
        }
        #expect(throws: VolumeError.self) { try volume.zero(offset: 10, count: 8192) }
        #expect(volume.dirtyBytes == 0 || volume.dirtyBytes == 4096)
        try remote.deliver(blocks(0, 64), to: store, image: "i")
        expectEqual(try volume.content(), content, "nothing has changed")
        try volume.write([UInt8](repeating: 1, count: 8192), at: 4096 * 20 + 1)
        content.replaceSubrange(4096 * 20 + 1..<4096 * 22 + 1, with: [UInt8](repeating: 1, count: 8192))
        expectEqual(try volume.content(), content, "written")
    }

    /// A transfer that ends inside a block which is not here must not show what it left there.
    @Test func aShortTransferOverAbsentBlocksCountsWholeBlocks() throws {
        let store = try VolumeStore(root: root)
        let remote = RemoteImage.random(blocks: 64)
        try store.addImage("i", remote)
        try remote.deliver(blocks(0, 16), to: store, image: "i")
        try remote.deliver(blocks(32, 16), to: store, image: "i")
        let volume = try store.clone(image: "i", as: "v")
        let junk = [UInt8](repeating: 0xEE, count: 8 * 4096)
        let start = UInt64(10 * 4096 + 100)
        let written = try volume.write(at: start, count: 25 * 4096) {
            (descriptor, offset) throws(SystemError) in
            pwrite(descriptor, junk, junk.count, off_t(offset))
        }
        #expect(written == 8 * 4096 - 100)
        try remote.deliver(blocks(0, 64), to: store, image: "i")
        var wanted = remote.content
        wanted.replaceSubrange(Int(start)..<18 * 4096, with: junk.prefix(written))
        expectEqual(try volume.content(), wanted, "volume")
    }

    @Test func aMovedTagTakesTheNameOver() throws {
        let store = try VolumeStore(root: root)
        let (old, new) = (RemoteImage.random(blocks: 32), RemoteImage.random(blocks: 48, seed: 2))
        try store.addImage("i", old)
        try old.deliver(blocks(0, 32), to: store, image: "i")
        let volume = try store.clone(image: "i", as: "v")
        #expect(throws: VolumeError.self) { try store.addImage("i", new) }
        let record = try store.addImage("i", new, replacing: true)
        #expect(record.sizeBytes == 48 * 4096)
        #expect(try store.image(named: "i").id == record.id)
        #expect(throws: VolumeError.self) { try store.addImage("v", new, replacing: true) }
        expectEqual(try volume.content(), old.content, "clone of the old one")
        #expect(try Directories.names(in: root + "/maps").count == 4)
        try store.remove("v")
        #expect(try Directories.names(in: root + "/maps").count == 2)
        let same = try store.addImage("i", new, sources: ["b:2"], replacing: true)
        #expect(same.sources == ["b:2", "dir:/there"])
    }

    @Test func placesAreSetAfterAPush() throws {
        let remote = RemoteImage.random(blocks: 32)
        var store: VolumeStore? = try VolumeStore(root: root)
        try store?.addImage("i", content: remote.content)
        #expect(try store?.places(ofImage: "i").table.packs.isEmpty == true)
        try store?.setPlaces(of: "i", remote.places, sources: ["s3://b/p"])
        store = nil
        let again = try VolumeStore(root: root)
        let (table, sources) = try again.places(ofImage: "i")
        #expect(table == remote.places && sources == ["s3://b/p"])
        #expect(again.chunks.places(for: remote.map).packs == remote.places.packs)
    }
}
