// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A daemon comes up whatever is missing or damaged, serves the rest, and names what it cannot.
@Suite("Start", .timeLimit(.minutes(3)))
struct StartTests {
    private struct Named: Decodable {
        let name: String
        let broken: String?
    }

    @Test("one damaged image and one damaged volume among many, and the source of a third away")
    func damaged() throws {
        let machine = try Machine.withImage()
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("bad", extraBytes: 1 << 20), "bad")
        try machine.succeed("push", "base", "dir:\(machine.directory)/store#it")
        try machine.succeed("pull", "--name", "lazy", "dir:\(machine.directory)/store#it")
        for number in 1...20 { try machine.succeed("clone", "base", "v\(number)") }
        let place = machine.directory + "/a"
        try Directories.create(place)
        let before = try Set(Directories.names(in: machine.root + "/deltas"))
        try machine.succeed("mount", "v7", place)
        try machine.write("text\n", place + "/data/file")
        try machine.succeed("umount", place)
        let logs = try Set(Directories.names(in: machine.root + "/deltas")).subtracting(before)
            .filter { $0.hasSuffix(".log") }
        let log = machine.root + "/deltas/" + (try #require(logs.first))
        let digest = try #require(try machine.images().first { $0.name == "bad" }?.digest)
        machine.stopDaemon(SIGTERM)
        let map = machine.root + "/maps/" + digest.replacing("sha256:", with: "") + ".map"
        for path in [log, map] { try File(open: path, O_WRONLY).write([0xff, 0xff, 0xff, 0xff], at: 8) }
        try Directories.removeTree(machine.directory + "/store")
        // It says which, and everything else is there.
        let images = try machine.decode([Named].self, machine.succeed("images", "--json"))
        let volumes = try machine.decode([Named].self, machine.succeed("volumes", "--json"))
        #expect(images.filter { $0.broken != nil }.map(\.name) == ["bad"])
        #expect(volumes.filter { $0.broken != nil }.map(\.name) == ["v7"])
        #expect(images.count == 3 && volumes.count == 20)
        #expect(machine.text(of: machine.run + "/daemon.log")?.contains("v7") == true)
        try machine.fail(["mount", "v7", place], words: ["v7", "damaged"])
        #expect(try machine.succeed("run", "--rm", "base", "echo", "fine") == "fine\n")
        try machine.succeed("mount", "v8", place)
        try machine.succeed("umount", place)
        // With the damage undone it is served again.
        for name in ["bad", "v7"] { try machine.succeed("rm", name) }
        _ = try machine.slacker("fsck", "--repair")
        #expect(try machine.succeed("fsck").contains("nothing is wrong"))
    }
}
