// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// The daemon dies, hangs or is replaced, and nobody who uses a mount sees an error.
@Suite("Keeper", .timeLimit(.minutes(5)))
struct KeeperTests {
    /// A machine with a volume `vol` mounted at `place`.
    private func mounted(_ settings: [String] = []) throws -> (Machine, place: String) {
        let machine = try Machine()
        try machine.guardMount(seconds: 200)
        if !settings.isEmpty {
            try machine.slacker(["daemon"] + settings.flatMap { ["--set", $0] })
        }
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.succeed("clone", "base", "vol", "--size", "256M")
        try machine.succeed("mount", "vol", place)
        return (machine, place)
    }

    @Test("a killed daemon: what is mounted goes on, with what was written and not flushed")
    func killed() throws {
        let (machine, place) = try mounted()
        let (shared, second) = (machine.directory + "/b", machine.directory + "/c")
        for directory in [shared, second] { try Directories.create(directory) }
        try machine.succeed("mount", "base", shared)
        try machine.write("text\n", place + "/data/file")
        let device = try machine.status().mounts.first { $0.name == "vol" }?.device
        for _ in 1...3 {
            try machine.killDaemon()
            #expect(try machine.host("cat", place + "/data/file") == "text\n")
            #expect(try machine.host("cat", shared + "/etc/motd") == "hello from the image\n")
            try machine.host("sync", "-f", place)
        }
        let mounts = try machine.status().mounts
        #expect(mounts.first { $0.name == "vol" }?.device == device)
        #expect(mounts.map(\.name).sorted() == ["base", "vol"])
        // Whose volume is whose is known as before.
        try machine.fail(["mount", "vol", second], words: ["vol", place])
        try machine.fail(["rm", "vol"], words: ["vol", place])
        for directory in [shared, place] { try machine.succeed("umount", directory) }
        #expect(eventually { machine.loops.isEmpty })
        try machine.succeed("rm", "vol")
        let check = try machine.slacker("fsck", "--deep")
        #expect(check.succeeded, "\(check.output)")
    }

    @Test("fio with verify at depth 8 through deaths of the daemon; the file system is clean after it")
    func verified() throws {
        let (machine, place) = try mounted()
        let fio = [
            "timeout", "60", "fio", "--name=x", "--verify_state_save=0", "--directory=" + place, "--size=64M",
            "--rw=randrw", "--bs=4k",
            "--ioengine=libaio", "--iodepth=8", "--direct=1", "--verify=crc32c", "--verify_backlog=64",
            "--verify_fatal=1", "--time_based", "--runtime=6", "--output-format=terse",
        ]
        let output = machine.directory + "/fio"
        let log = try File(open: output, O_RDWR | O_CREAT)
        let child = try Subprocess.spawn(fio, output: log.fd, errors: log.fd)
        for _ in 1...4 {
            usleep(UInt32.random(in: 300_000...1_200_000))
            try machine.killDaemon()
        }
        #expect(try Subprocess.wait(for: child, "fio") == 0, "\(machine.text(of: output) ?? "")")
        try machine.succeed("umount", place)
        let check = try Subprocess.run(["timeout", "60", "e2fsck", "-fn", machine.run + "/fs/volumes/vol"])
        #expect(check.status == 0, "\(check.output)")
    }

    @Test("containers go on through the death of the daemon, those of --rm too, and leave nothing")
    func containers() throws {
        let machine = try Machine.withImage()
        try machine.guardMount(seconds: 200)
        let script =
            "echo kept > /data/kept; echo ready; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do "
            + "echo $i >> /data/log; sync; sleep 0.2; done; cat /data/kept; wc -l < /data/log"
        let variables = "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run)"
        var children: [Int32] = []
        for (name, flag) in [("one", "--rm"), ("two", "")] {
            let command = "\(variables) \(Machine.program) run \(flag) --name \(name) base sh -c '\(script)'"
            let file = try File(open: "\(machine.directory)/\(name)", O_RDWR | O_CREAT)
            children.append(
                try Subprocess.spawn(
                    ["timeout", "60", "sh", "-c", command], output: file.fd, errors: file.fd))
        }
        for name in ["one", "two"] {
            #expect(eventually { machine.text(of: "\(machine.directory)/\(name)") == "ready\n" })
        }
        for _ in 1...2 {
            try machine.killDaemon()
            #expect(try machine.status().containers.map(\.id).sorted() == ["one", "two"])
        }
        for child in children { #expect(try Subprocess.wait(for: child, "run") == 0) }
        for name in ["one", "two"] {
            #expect(machine.text(of: "\(machine.directory)/\(name)") == "ready\nkept\n15\n")
        }
        #expect(try machine.volumes().map(\.name) == ["two"])
        #expect(try machine.status().containers.isEmpty)
        #expect(eventually { machine.loops.isEmpty })
        #expect(try Directories.names(in: machine.run + "/containers").isEmpty)
        try machine.succeed("rm", "two")
        #expect(try Directories.names(in: machine.root + "/deltas").isEmpty)
    }

    @Test("a daemon that hangs is killed and replaced; sync on the host returns")
    func hanging() throws {
        let (machine, place) = try mounted(["daemon.hang_seconds=2"])
        let former = try #require(machine.daemon)
        // The watchdog looks once a second, and has to have seen it serve.
        usleep(1_500_000)
        kill(former, SIGSTOP)
        try machine.write("text\n", place + "/data/file")
        let start = MonotonicTime.now
        let result = try Subprocess.run(["timeout", "30", "sync", "-f", place])
        let seconds = MonotonicTime.now.seconds(since: start)
        #expect(result.status == 0 && seconds < 8, "\(seconds) s, \(result.errors)")
        #expect(eventually { machine.daemon.map { $0 != former } ?? false })
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        #expect(machine.text(of: machine.run + "/daemon.log")?.contains("does not answer") == true)
        try machine.succeed("umount", place)
    }

    @Test("daemon --replace: another daemon, the same mounts; a program of another version brings its keeper")
    func replaced() throws {
        let (machine, place) = try mounted()
        let (first, keeper) = (try #require(machine.daemon), try #require(machine.keeper))
        try machine.write("text\n", place + "/data/file")
        try machine.succeed("daemon", "--replace")
        let second = try #require(machine.daemon)
        #expect(second != first && eventually { kill(first, 0) < 0 })
        #expect(machine.keeper == keeper)
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        let program = machine.directory + "/slacker"
        try machine.host("cp", Machine.program, program)
        try machine.host(
            "env", "SLACKER_ROOT=\(machine.root)", "SLACKER_RUN=\(machine.run)", program, "daemon",
            "--replace")
        #expect(eventually { machine.keeper.map { $0 != keeper } ?? false && kill(keeper, 0) < 0 })
        #expect(try machine.host("readlink", "/proc/\(try #require(machine.daemon))/exe") == program + "\n")
        // The new one brings the new one back.
        try machine.killDaemon()
        #expect(try machine.host("readlink", "/proc/\(try #require(machine.daemon))/exe") == program + "\n")
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        try machine.succeed("umount", place)
    }

    @Test("a keeper that dies is replaced, and the next death of the daemon is survived")
    func keeperDies() throws {
        let (machine, place) = try mounted()
        let keeper = try #require(machine.keeper)
        kill(keeper, SIGKILL)
        #expect(eventually { machine.keeper.map { $0 != keeper } ?? false })
        // It listens when it has been given what it is to keep.
        #expect(eventually { machine.text(of: machine.run + "/daemon.log")?.contains("keeping") == true })
        usleep(300_000)
        try machine.killDaemon()
        #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
        try machine.succeed("umount", place)
    }

    @Test("when no daemon can be started, who waits gets an error in time, and it goes on when one can")
    func noDaemon() throws {
        let machine = try Machine()
        try machine.guardMount(seconds: 200)
        let file = machine.directory + "/config.toml"
        try machine.write("[daemon]\nhold_seconds = 2\n", file)
        let named = ["--config", file]
        try machine.slacker(named + ["import", "rootfs:" + machine.makeRootTar(), "base"])
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.slacker(named + ["clone", "base", "vol"])
        try machine.slacker(named + ["mount", "vol", place])
        try machine.write("[damaged\n", file)
        machine.stopDaemon(SIGKILL)
        let start = MonotonicTime.now
        let result = try Subprocess.run([
            "timeout", "30", "dd", "if=\(place)/bin/busybox", "of=/dev/null", "iflag=direct",
        ])
        let seconds = MonotonicTime.now.seconds(since: start)
        #expect(result.status == 1 && seconds < 8, "\(seconds) s, \(result.status) \(result.errors)")
        try machine.write("", file)
        #expect(eventually(seconds: 40) { machine.daemon != nil })
        #expect(eventually { (try? machine.slacker("status").succeeded) == true })
        #expect(try machine.status().mounts.isEmpty)
        #expect(eventually { machine.loops.isEmpty })
        try machine.succeed("mount", "vol", place)
        #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
        try machine.succeed("umount", place)
    }

    @Test("what a death leaves half made is taken away: a container without a record, a file without content")
    func halfMade() throws {
        let (machine, place) = try mounted()
        let bundle = machine.run + "/containers/half"
        try Directories.create(bundle + "/rootfs")
        let empty = try File(open: machine.run + "/fs/volumes/new", O_RDWR | O_CREAT)
        try machine.killDaemon()
        #expect(!Directories.exists(bundle))
        // Made, and open since before: it becomes a volume with the first write all the same.
        try empty.write([UInt8](repeating: 7, count: 4096), at: 0)
        #expect(try machine.volumes().map(\.name).sorted() == ["new", "vol"])
        #expect(try empty.read(count: 4096, at: 0) == [UInt8](repeating: 7, count: 4096))
        try machine.succeed("umount", place)
    }

    @Test("a daemon that dies before anybody has looked at its mount")
    func killedAtOnce() throws {
        let machine = try Machine()
        try machine.guardMount(seconds: 100)
        for _ in 1...3 {
            try machine.slacker("daemon")
            try machine.killDaemon()
        }
        #expect(try machine.succeed("images").contains("NAME"))
    }

    @Test("daemon --stop ends it for good, with its keeper")
    func stopped() throws {
        let (machine, place) = try mounted()
        try machine.write("text\n", place + "/data/file")
        try machine.succeed("daemon", "--stop")
        #expect(machine.daemon == nil && machine.keeper == nil)
        #expect(machine.mounts.isEmpty && eventually { machine.loops.isEmpty })
        try machine.succeed("mount", "vol", place)
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        try machine.succeed("umount", place)
    }

    @Test("an image that is mounted stays when its name is given to another, also through the daemon's death")
    func heldImage() throws {
        let machine = try Machine.withImage()
        try machine.guardMount(seconds: 200)
        let (registry, place) = (machine.directory + "/store", machine.directory + "/a")
        try Directories.create(place)
        try machine.succeed("push", "base", "dir:\(registry)#it")
        try machine.succeed("pull", "dir:\(registry)#it", "--whole")
        let name = try #require(try machine.images().map(\.name).first { $0 != "base" })
        try machine.succeed("mount", name, place)
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("other", extraBytes: 1 << 20), "other")
        try machine.succeed("push", "other", "dir:\(registry)#it")
        try machine.succeed("pull", "dir:\(registry)#it", "--whole")
        for image in ["base", "other"] { try machine.succeed("rm", image) }
        try machine.killDaemon()
        try machine.host("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
        #expect(!Directories.exists(place + "/data/noise"))
        try machine.succeed("umount", place)
    }
}
