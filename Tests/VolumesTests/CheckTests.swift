// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// What a check finds, mends, and puts aside.
@Suite struct CheckTests {
    private let directory: TestDirectory
    private var root: String { directory.path + "/root" }

    init() throws {
        directory = try TestDirectory()
    }

    /// A local image, a lazily pulled one of which all is here, a changed volume, an unsealed snapshot.
    private func fixture() throws -> (store: VolumeStore, local: [UInt8], remote: RemoteImage) {
        let store = try VolumeStore(root: root)
        var random = SplitMix(seed: 1)
        let local = random.bytes(40 * Block.bytes)
        try store.addImage("local", content: local)
        let remote = RemoteImage.random(blocks: 64, seed: 2)
        try store.addImage("remote", remote)
        try remote.deliver(BlockRange(start: 0, count: 64), to: store, image: "remote")
        let volume = try store.clone(image: "local", as: "v")
        try volume.write(random.bytes(Block.bytes), at: 4096)
        try volume.synchronize()
        _ = try store.snapshot(volume: "v", as: "made")
        try store.waitUntilSealed("made")
        try volume.write(random.bytes(Block.bytes), at: 8192)
        return (store, local, remote)
    }

    private func mapPath(_ store: VolumeStore, _ image: String, _ suffix: String = ".map") throws -> String {
        let folder = suffix == ".profile" ? "/profiles/" : "/maps/"
        return root + folder + (try #require(try store.image(named: image).digest)).hex + suffix
    }

    /// Flips a byte of a block of an image where it lies in the chunk store.
    private func damage(_ store: VolumeStore, _ image: String, block: Int) throws {
        let file = try store.blockFile(image: image)
        try file.withSegments(offset: UInt64(block * Block.bytes), count: Block.bytes) { segments in
            guard case .file(let descriptor, let offset) = segments[0].source else { return }
            var byte: UInt8 = 0
            pread(descriptor, &byte, 1, off_t(offset) + 77)
            byte ^= 0x40
            pwrite(descriptor, &byte, 1, off_t(offset) + 77)
        }
    }

    @Test func nothingIsWrong() throws {
        let (store, _, _) = try fixture()
        let report = try store.check(CheckOptions(repairs: true, isDeep: true))
        #expect(report.findings == [])
        #expect(report.isClean)
        #expect(report.images == 3 && report.volumes == 1 && report.maps == 3)
        #expect(report.references > 9)
        #expect(report.verifiedBytes == store.chunks.statistics().plainBytes)
        #expect(!Directories.exists(root + "/quarantine"))
    }

    @Test(arguments: [".map", ".places"])
    func filesOfMapsAreWrittenAnew(_ suffix: String) throws {
        let (store, _, remote) = try fixture()
        let path = try mapPath(store, "remote", suffix)
        try File(open: path, O_RDWR).write([0xFF, 0xFF], at: 50)
        let found = try store.check()
        #expect(found.findings.map(\.outcome) == [.open])
        #expect(found.findings.first?.subject == "image 'remote'")
        #expect(!found.isClean)
        let mended = try store.check(CheckOptions(repairs: true))
        #expect(mended.findings.map(\.outcome) == [.repaired])
        #expect(mended.isClean)
        #expect(try store.check().findings == [])
        store.close()
        _ = consume store
        let again = try VolumeStore(root: root)
        #expect(try again.image(named: "remote").brokenReason == nil)
        expectEqual(try again.content(image: "remote"), remote.content, "remote")
    }

    @Test(arguments: [("local", ".map"), ("remote", ".map"), ("remote", ".places")])
    func missingFilesAreWrittenAnew(_ image: String, _ suffix: String) throws {
        let (store, _, _) = try fixture()
        try Directories.removeFile(try mapPath(store, image, suffix))
        #expect(try store.check(CheckOptions(repairs: true)).findings.map(\.outcome) == [.repaired])
        #expect(try store.check().findings == [])
    }

    @Test func aDamagedProfileIsRemoved() throws {
        let (store, _, _) = try fixture()
        try Directories.replaceFile(try mapPath(store, "local", ".profile"), with: [1, 2, 3])
        #expect(try store.check(CheckOptions(repairs: true)).findings.map(\.outcome) == [.repaired])
        #expect(try store.check().findings == [])
    }

    @Test func aDamagedChunkOfASourceIsFetchedAgain() throws {
        let (store, _, remote) = try fixture()
        try damage(store, "remote", block: 20)
        #expect(try store.check().findings == [], "only a deep check reads chunks")
        let found = try store.check(CheckOptions(isDeep: true))
        #expect(found.findings.map(\.outcome) == [.open])
        #expect(found.findings.first?.problem.contains("image 'remote'") == true)
        #expect(try store.check(CheckOptions(repairs: true, isDeep: true)).isClean)
        #expect(try store.image(named: "remote").localBytes == 48 * 4096)
        try remote.deliver(BlockRange(start: 0, count: 64), to: store, image: "remote")
        expectEqual(try store.content(image: "remote"), remote.content, "remote")
        #expect(try store.check(CheckOptions(isDeep: true)).findings == [])
    }

    @Test func aDamagedChunkThatNobodyHasIsPutAside() throws {
        let (store, local, _) = try fixture()
        try damage(store, "local", block: 18)
        let report = try store.check(CheckOptions(repairs: true, isDeep: true))
        let finding = try #require(report.findings.first)
        #expect(report.findings.count == 1 && finding.outcome == .quarantined)
        #expect(finding.problem.contains("image 'local'") && finding.problem.contains("image 'made'"))
        #expect(!report.isClean)
        #expect(try Directories.names(in: root + "/quarantine").count == 1)
        // Nobody is shown its bytes, and storing the chunk once more heals every image.
        let record = try store.image(named: "local")
        #expect(record.localBytes == record.dataBytes.map { $0 - 16 * 4096 })
        #expect(try store.check().findings.map(\.outcome) == [.open, .open])
        try store.addImage("again", content: local)
        expectEqual(try store.content(image: "local"), local, "local")
        #expect(try store.check(CheckOptions(isDeep: true)).findings == [])
    }

    @Test func whatNothingRefersToIsPutAside() throws {
        let (store, _, _) = try fixture()
        try Directories.replaceFile(root + "/maps/stray.map", with: [1])
        try Directories.replaceFile(root + "/deltas/0000000000000001.data", with: [1])
        #expect(try store.check().findings.map(\.outcome) == [.open, .open])
        #expect(try store.check(CheckOptions(repairs: true)).isClean)
        #expect(try store.check().findings == [])
        #expect(
            try Directories.names(in: root + "/quarantine").sorted() == [
                "0000000000000001.data", "stray.map",
            ])
    }

    @Test func whatCannotBeUsedIsNamed() throws {
        var (store, _, _): (VolumeStore?, [UInt8], RemoteImage) = try fixture()
        let path = try mapPath(try #require(store), "local")
        store?.close()
        store = nil
        try File(open: path, O_RDWR).write([0xFF], at: 40)
        let again = try VolumeStore(root: root)
        let report = try again.check(CheckOptions(repairs: true))
        #expect(report.findings.map(\.subject).contains("image 'local'"))
        #expect(report.findings.contains { $0.outcome == .quarantined })
        // What a damaged image may need is not taken for an orphan.
        #expect(Directories.exists(path))
        #expect(try again.image(named: "remote").brokenReason == nil)
    }

    @Test func beside() throws {
        let (store, _, _) = try fixture()
        let done = Lock(false)
        let failures = Lock<[String]>([])
        let checker = try NamedThread("check") {
            while !done.withLock({ $0 }) {
                do {
                    let report = try store.check(CheckOptions(repairs: true, isDeep: true))
                    failures.withLock { $0 += report.findings.map { "\($0.subject): \($0.problem)" } }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        var random = SplitMix(seed: 7)
        for number in 0..<15 {
            try store.addImage("i\(number)", content: random.bytes(32 * Block.bytes))
            let volume = try store.clone(image: "i\(number)", as: "w\(number)")
            try volume.write(random.bytes(Block.bytes), at: 0)
            _ = try store.snapshot(volume: "w\(number)", as: "s\(number)")
            try store.remove("w\(number)")
            if number % 2 == 0 { try store.remove("i\(number)") }
        }
        done.withLock { $0 = true }
        checker.join()
        #expect(failures.withLock { $0 } == [])
    }
}
