// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CLinux
import Glibc
import TestSupport
import Testing
import Volumes

@Suite struct CopyTests {
    /// More than one copy_file_range call can carry.
    @Test(arguments: [UInt32(100), 3 << 18])
    func copyingASnapshotClonesIt(_ blockCount: UInt32) throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 3)
        let content = random.bytes(100 * 4096)
        try mounted.addImage("image", content, blockCount: blockCount)
        let start = MonotonicTime.now
        try mounted.run(["cp", mounted.snapshotPath("image"), mounted.volumePath("v")])
        #expect(MonotonicTime.now.seconds(since: start) < 5)
        let record = try mounted.store.volume(named: "v")
        #expect(record.parentImage == "image" && record.dirtyBytes == 0)
        #expect(record.sizeBytes == UInt64(blockCount) * 4096)
        let file = try mounted.file(volume: "v")
        expectEqual(try file.read(count: content.count, at: 0), content, "clone")
        try file.write([1, 2, 3], at: 0)
        expectEqual(
            try File(open: mounted.snapshotPath("image"), O_RDONLY).read(count: content.count, at: 0),
            content, "image")
    }

    @Test func copyingAVolumeKeepsTheMoment() throws {
        let mounted = try MountedStore()
        try mounted.addImage("image", [UInt8](repeating: 1, count: 50 * 4096))
        _ = try mounted.store.clone(image: "image", as: "a")
        let source = try mounted.file(volume: "a")
        try source.write([UInt8](repeating: 2, count: 8192), at: 4096)
        try mounted.run(["cp", mounted.volumePath("a"), mounted.volumePath("b")])
        try source.write([UInt8](repeating: 3, count: 8192), at: 8192)
        var wanted = [UInt8](repeating: 1, count: 50 * 4096)
        wanted.replaceSubrange(4096..<12288, with: [UInt8](repeating: 2, count: 8192))
        expectEqual(try mounted.content(mounted.volumePath("b")), wanted, "copy")
        #expect(try mounted.store.volume(named: "b").dirtyBytes == 0)
        // The name that the moment had is gone.
        #expect(mounted.store.images().map(\.name) == ["image"])
    }

    @Test func copyingAnOrdinaryFileMakesAVolume() throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 4)
        let content = random.bytes(3_000_000)
        let path = mounted.directory + "/plain"
        try File(open: path, O_WRONLY | O_CREAT).write(content, at: 0)
        try mounted.run(["cp", path, mounted.volumePath("v")])
        let size = 733 * 4096
        #expect(try mounted.store.volume(named: "v").sizeBytes == UInt64(size))
        let padded = content + [UInt8](repeating: 0, count: size - content.count)
        expectEqual(try mounted.content(mounted.volumePath("v")), padded, "volume")
        // Over a volume that there is: the old one goes, its successor is made anew.
        try mounted.run([
            "dd", "if=" + path, "of=" + mounted.volumePath("v"), "bs=4096", "count=2", "status=none",
        ])
        expectEqual(try mounted.content(mounted.volumePath("v")), Array(content[..<8192]), "rewritten")
        try mounted.run(["cp", "--sparse=never", mounted.volumePath("v"), mounted.directory + "/back"])
        expectEqual(try mounted.content(mounted.directory + "/back"), Array(content[..<8192]), "copied out")
    }

    @Test func partsAreCopiedByHand() throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 5)
        let content = random.bytes(64 * 4096)
        try mounted.addImage("image", content)
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 64 * 4096)
        let source = try File(open: mounted.snapshotPath("image"), O_RDONLY)
        let target = try mounted.file(volume: "v")
        var (from, to) = (off_t(5000), off_t(9000))
        #expect(copy_file_range(source.fd, &from, target.fd, &to, 20000, 0) == 20000)
        var wanted = [UInt8](repeating: 0, count: 64 * 4096)
        wanted.replaceSubrange(9000..<29000, with: content[5000..<25000])
        expectEqual(try mounted.content(mounted.volumePath("v")), wanted, "v")
        let new = try File(open: mounted.volumePath("new"), O_RDWR | O_CREAT)
        (from, to) = (0, 0)
        #expect(copy_file_range(source.fd, &from, new.fd, &to, 8192, 0) == 8192)
        expectEqual(try mounted.content(mounted.volumePath("new")), Array(content[..<8192]), "first part")
        #expect(try mounted.store.volume(named: "new").parentImage == "")
    }

    @Test func aWriteEndsTheCopy() throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 6)
        let content = random.bytes(8 * 4096)
        try mounted.addImage("image", content)
        let source = try File(open: mounted.snapshotPath("image"), O_RDONLY)
        let target = try File(open: mounted.volumePath("v"), O_RDWR | O_CREAT)
        var (from, to) = (off_t(0), off_t(0))
        #expect(copy_file_range(source.fd, &from, target.fd, &to, 8 * 4096, 0) == 8 * 4096)
        try target.write([UInt8](repeating: 1, count: 4096), at: 0)
        // Were this taken for the rest of the same copy, the byte would stay.
        (from, to) = (0, 0)
        #expect(copy_file_range(source.fd, &from, target.fd, &to, 4096, 0) == 4096)
        expectEqual(try mounted.content(mounted.volumePath("v")), content, "v")
    }
}
