// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite("Clone, mount, remove", .timeLimit(.minutes(5)))
struct MountTests {
    @Test("a volume is mounted once, written, unmounted, and keeps what was written")
    func volume() throws {
        let machine = try Machine.withImage()
        let (first, second) = (machine.directory + "/a", machine.directory + "/b")
        for place in [first, second] { try Directories.create(place) }
        try machine.succeed("clone", "base", "vol")
        try machine.succeed("mount", "vol", first)
        try machine.write("text\n", first + "/data/file")
        try machine.fail(["mount", "vol", second], words: ["vol", first])
        try machine.fail(["rm", "vol"], words: ["vol", first])
        try machine.succeed("umount", first)
        #expect(!Directories.exists(first + "/data"))
        try machine.succeed("mount", "vol", second, "--read-only")
        #expect(try machine.host("cat", second + "/data/file") == "text\n")
        #expect(access(second + "/data/file", W_OK) < 0 && errno == EROFS)
        try machine.succeed("umount", second)
        try machine.succeed("rm", "vol")
        #expect(try machine.volumes().isEmpty)
        #expect(machine.loops.isEmpty)
    }

    @Test("read-only mounts of one image share one device, which goes with the last")
    func shared() throws {
        let machine = try Machine.withImage()
        let places = ["a", "b", "c"].map { machine.directory + "/" + $0 }
        for place in places {
            try Directories.create(place)
            try machine.succeed("mount", "base", place)
            #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
            #expect(access(place + "/etc/motd", W_OK) < 0 && errno == EROFS)
        }
        #expect(machine.loops.count == 1)
        #expect(Set(try machine.status().mounts.map(\.device)).count == 1)
        for place in places { try machine.succeed("umount", place) }
        #expect(machine.loops.isEmpty)
        #expect(machine.mounts == [machine.run + "/fs"])
    }

    @Test("an unmount behind the daemon's back is noticed")
    func foreignUnmount() throws {
        let machine = try Machine.withImage()
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.succeed("clone", "base", "vol")
        try machine.succeed("mount", "vol", place)
        try machine.host("umount", place)
        #expect(eventually { machine.loops.isEmpty })
        try machine.succeed("rm", "vol")
    }

    @Test("an image may go while its clones stay")
    func removeImage() throws {
        let machine = try Machine.withImage()
        try machine.succeed("clone", "base", "vol")
        try machine.succeed("rm", "base")
        #expect(try machine.images().isEmpty)
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.succeed("mount", "vol", place)
        #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
        try machine.succeed("umount", place)
        try machine.succeed("rm", "vol")
        #expect(try eventually { try machine.usage().chunkBytes == 0 })
    }

    @Test("a clone of another size")
    func size() throws {
        let machine = try Machine.withImage()
        try machine.succeed("clone", "base", "vol", "--size", "2G")
        #expect(try machine.volumes().first?.sizeBytes == 2 << 30)
        try machine.fail(["clone", "base", "tiny", "--size", "1M"], words: ["size"])
        #expect(try machine.volumes().map(\.name) == ["vol"])
        let check = try Subprocess.run(["timeout", "60", "e2fsck", "-fn", machine.run + "/fs/volumes/vol"])
        #expect(check.status == 0, "\(check.output)")
    }
}
