// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Chunks that rot are found in the background, and fetched anew where some source has them.
@Suite("Scrub", .timeLimit(.minutes(3)))
struct ScrubTests {
    private struct Answer: Decodable {
        let state: String
        let rounds: Int
        let mendedChunks: Int
        let damaged: [String]
    }

    private func scrub(_ machine: Machine, _ flags: String...) throws -> Answer {
        let result = try machine.slacker(["scrub", "--json"] + flags)
        return try machine.decode(Answer.self, result.output)
    }

    /// Waits for the end of a round that begins now.
    private func round(_ machine: Machine) throws -> Answer {
        let before = try scrub(machine).rounds
        _ = try scrub(machine, "--start")
        #expect(try eventually(seconds: 30) { try scrub(machine).rounds > before })
        return try scrub(machine)
    }

    /// Flips a byte of the message in the arenas, wherever that lies.
    private func damage(_ machine: Machine) throws {
        let found = try machine.host("grep", "-rabo", "hello from the image", machine.root + "/chunks")
        for line in found.split(separator: "\n") {
            let fields = line.split(separator: ":")
            let offset = try #require(UInt64(fields[1]))
            try File(open: String(fields[0]), O_WRONLY).write([0x58], at: offset)
        }
        #expect(!found.isEmpty)
    }

    @Test("what a source has is fetched anew; what none has is named")
    func mends() throws {
        let machine = try Machine()
        try machine.slacker(["daemon", "--set", "scrub.rate=0", "--set", "scrub.interval=0"])
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        #expect(try round(machine).damaged.isEmpty)
        try damage(machine)
        let local = try round(machine)
        #expect(local.damaged.count == 1 && local.mendedChunks == 0)
        #expect(try machine.slacker("scrub").status == 1)
        // As it was, with a source for it.
        try machine.succeed("rm", "base")
        try machine.succeed("gc")
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        try machine.succeed("push", "base", "dir:\(machine.directory)/store#it")
        try machine.succeed("rm", "base")
        try machine.succeed("pull", "--whole", "--name", "copy", "dir:\(machine.directory)/store#it")
        try damage(machine)
        let remote = try round(machine)
        #expect(remote.damaged.isEmpty && remote.mendedChunks == 1)
        #expect(try machine.succeed("run", "--rm", "copy", "cat", "/etc/motd") == "hello from the image\n")
        #expect(try machine.succeed("fsck", "--deep").contains("nothing is wrong"))
    }

    @Test("it keeps to its rate, stands still when it is told to, and ends with the daemon")
    func paces() throws {
        let machine = try Machine()
        try machine.slacker(["daemon", "--set", "scrub.rate=8M", "--set", "scrub.interval=0"])
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("big", extraBytes: 24 << 20), "base")
        let start = MonotonicTime.now
        _ = try scrub(machine, "--start")
        #expect(try eventually { try scrub(machine).state == "running" })
        _ = try scrub(machine, "--pause")
        usleep(4_000_000)
        #expect(try scrub(machine).state == "paused" && scrub(machine).rounds == 0)
        _ = try scrub(machine, "--resume")
        #expect(try eventually(seconds: 30) { try scrub(machine).rounds == 1 })
        #expect(MonotonicTime.now.seconds(since: start) > 5)
        _ = try scrub(machine, "--start")
        machine.stopDaemon(SIGTERM)
        #expect(machine.daemon == nil)
    }
}
