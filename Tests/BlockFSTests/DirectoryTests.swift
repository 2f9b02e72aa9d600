// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import CLinux
import Glibc
import Testing
import Volumes

@Suite struct DirectoryTests {
    @Test func imagesAndVolumesAreListed() throws {
        let mounted = try MountedStore()
        try mounted.addImage("lib/debian:12", [UInt8](repeating: 7, count: 8 * 4096))
        _ = try mounted.store.clone(image: "lib/debian:12", as: "one")
        for index in 0..<300 { _ = try mounted.store.createVolume(named: "many-\(index)", sizeBytes: 4096) }
        #expect(try Directories.names(in: mounted.directory + "/mnt") == ["snapshots", "volumes"])
        #expect(try Directories.names(in: mounted.snapshotPath("")) == ["lib%2Fdebian:12"])
        let wanted = (["one"] + (0..<300).map { "many-\($0)" }).sorted()
        #expect(try Directories.names(in: mounted.volumePath("")) == wanted)
    }

    @Test func attributesSayWhatAFileIs() throws {
        let mounted = try MountedStore()
        try mounted.addImage("image", [UInt8](repeating: 7, count: 8 * 4096), blockCount: 100)
        _ = try mounted.store.clone(image: "image", as: "volume")
        var info = stat()
        #expect(stat(mounted.snapshotPath("image"), &info) == 0)
        #expect(info.st_mode == S_IFREG | 0o400 && info.st_size == 409_600 && info.st_blocks == 800)
        #expect(stat(mounted.volumePath("volume"), &info) == 0)
        #expect(info.st_mode == S_IFREG | 0o600 && info.st_size == 409_600 && info.st_blocks == 800)
        #expect(stat(mounted.volumePath("image"), &info) == -1 && errno == ENOENT)
        #expect(stat(mounted.snapshotPath("volume"), &info) == -1 && errno == ENOENT)
        #expect(stat(mounted.directory + "/mnt/other", &info) == -1 && errno == ENOENT)
        #expect(chmod(mounted.snapshotPath("image"), 0o644) == -1 && errno == EPERM)
        #expect(chmod(mounted.volumePath("volume"), 0o644) == 0)
        #expect(chown(mounted.volumePath("volume"), 1000, 0) == -1 && errno == EPERM)
    }

    @Test func figuresAreThoseOfTheStateDirectory() throws {
        let mounted = try MountedStore()
        let type = try mounted.run(["stat", "-f", "-c", "%b %S", mounted.directory + "/mnt"])
        let state = try mounted.run(["stat", "-f", "-c", "%b %S", mounted.directory + "/root"])
        #expect(type == state)
        let mounts = try mounted.run(["grep", mounted.directory, "/proc/self/mounts"])
        #expect(mounts.hasPrefix("slacker \(mounted.directory)/mnt fuse.slacker "))
    }

    @Test func snapshotsDoNotChange() throws {
        let mounted = try MountedStore()
        try mounted.addImage("image", [UInt8](repeating: 7, count: 4096))
        let path = mounted.snapshotPath("image")
        #expect(errorNumber { _ = try File(open: path, O_RDWR) } == EROFS)
        #expect(errorNumber { _ = try File(open: path + "2", O_WRONLY | O_CREAT) } == EPERM)
        #expect(unlink(path) == -1 && errno == EPERM)
        #expect(truncate(path, 0) == -1 && errno == EPERM)
        #expect(mkdir(mounted.directory + "/mnt/x", 0o700) == -1)
        #expect(rename(path, path + "2") == -1)
    }

    @Test func unlinkRemovesAVolumeThatNobodyHasOpen() throws {
        let mounted = try MountedStore()
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 8192)
        do {
            let file = try mounted.file(volume: "v")
            #expect(unlink(mounted.volumePath("v")) == -1 && errno == EBUSY)
            #expect(try file.size() == 8192)
        }
        try mounted.store.setInUse("v", "mounted")
        #expect(unlink(mounted.volumePath("v")) == -1 && errno == EBUSY)
        try mounted.store.setInUse("v", nil)
        // RELEASE comes after close(2) has returned.
        var result = unlink(mounted.volumePath("v"))
        for _ in 0..<1000 where result != 0 {
            usleep(1000)
            result = unlink(mounted.volumePath("v"))
        }
        #expect(result == 0)
        #expect(mounted.store.volumes().isEmpty)
        #expect(unlink(mounted.volumePath("v")) == -1 && errno == ENOENT)
    }

    @Test func aNameThatIsUsedAgainShowsTheNewContent() throws {
        let mounted = try MountedStore()
        for value in UInt8(1)...3 {
            try mounted.addImage("image", [UInt8](repeating: value, count: 8192))
            expectEqual(
                try mounted.content(mounted.snapshotPath("image")), [UInt8](repeating: value, count: 8192),
                "image \(value)")
            try mounted.store.remove("image")
            #expect(access(mounted.snapshotPath("image"), F_OK) == -1)
        }
    }

    @Test func createdFilesAreEmptyUntilWritten() throws {
        let mounted = try MountedStore()
        let path = mounted.volumePath("new")
        do {
            let file = try File(open: path, O_RDWR | O_CREAT | O_EXCL)
            #expect(try file.size() == 0)
            #expect(try file.read(count: 4096, at: 0).isEmpty)
            #expect(errorNumber { _ = try File(open: path, O_RDWR | O_CREAT | O_EXCL) } == EEXIST)
            #expect(try Directories.names(in: mounted.volumePath("")) == ["new"])
            #expect(mounted.store.volumes().isEmpty)
            try file.write([1, 2, 3], at: 5000)
            // Lengths are whole blocks.
            #expect(try file.size() == 8192)
        }
        #expect(try mounted.store.volume(named: "new").sizeBytes == 8192)
        #expect(try mounted.content(path)[4998..<5004] == [0, 0, 1, 2, 3, 0])
        #expect(errorNumber { _ = try File(open: path, O_RDWR | O_CREAT | O_EXCL) } == EEXIST)
        #expect(errorNumber { _ = try File(open: mounted.volumePath("a b"), O_RDWR | O_CREAT) } == EINVAL)
        #expect(truncate(path, 1 << 30) == 0)
        #expect(try mounted.store.volume(named: "new").sizeBytes == 1 << 30)
        do { _ = try File(open: path, O_WRONLY | O_TRUNC) }
        #expect(mounted.store.volumes().isEmpty)
        #expect(unlink(path) == 0)
        #expect(try Directories.names(in: mounted.volumePath("")).isEmpty)
    }

    @Test func stoppingABusyFileSystemIsRefused() throws {
        let mounted = try MountedStore()
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 64 << 20)
        let file = try mounted.file(volume: "v")
        #expect(throws: BlockFSError.self) { try mounted.fileSystem.stop() }
        #expect(try file.read(count: 10, at: 0).count == 10)
        try mounted.fileSystem.stop(force: true)
        #expect(errorNumber { _ = try file.read(count: 10, at: 60 << 20) } != nil)
        try mounted.fileSystem.stop()
        let mounts = try Subprocess.run(["grep", mounted.directory, "/proc/self/mounts"])
        #expect(mounts.output.isEmpty)
    }
}
