// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite("Errors and faults", .timeLimit(.minutes(5)))
struct FaultTests {
    @Test("every error is one line that names the thing")
    func badInput() throws {
        let machine = try Machine.withImage()
        let place = machine.directory + "/dir"
        try Directories.create(place)
        try machine.write("no tar", machine.directory + "/text")
        let table: [([String], [String])] = [
            (["import", "rootfs:/nonexistent.tar", "x"], ["/nonexistent.tar"]),
            (["import", "oci:/nonexistent", "x"], ["/nonexistent"]),
            (["import", "rootfs:" + machine.directory + "/text", "x"], ["text"]),
            (["import", "ftp:somewhere", "x"], ["ftp:", "oci:DIR"]),
            (["import", "oci:/x", "a name"], ["a name"]),
            (["import", "oci:/x", "../x"], ["../x"]),
            (["import", "oci:/x", "base"], ["base", "exists"]),
            (["import", "oci:/x", "y", "--platform", "pdp11"], ["pdp11"]),
            (["inspect", "nothing"], ["nothing"]),
            (["inspect", "nothing", "--files"], ["nothing"]),
            (["clone", "nothing", "vol"], ["nothing"]),
            (["clone", "base", "a/b"], ["a/b"]),
            (["clone", "base", "base"], ["base", "exists"]),
            (["snapshot", "nothing", "x"], ["nothing"]),
            (["mount", "nothing", place], ["nothing"]),
            (["mount", "base", "/nonexistent"], ["/nonexistent"]),
            (["mount", "base", machine.directory + "/text"], ["text", "directory"]),
            (["umount", place], [place]),
            (["run", "nothing"], ["nothing"]),
            (["run", "base"], ["command"]),
            (["run", "-u", "nobodyknows", "base", "true"], ["nobodyknows"]),
            (["run", "-v", "/nonexistent:/mnt", "base", "true"], ["/nonexistent"]),
            (["run", "--name", "a/b", "base", "true"], ["a/b"]),
            (["rm", "nothing"], ["nothing"]),
        ]
        for (arguments, words) in table { try machine.fail(arguments, words: words) }
        #expect(try machine.volumes().isEmpty)
        #expect(try machine.status().mounts.isEmpty)
        #expect(machine.loops.isEmpty)
        #expect(try Directories.names(in: machine.run + "/containers").isEmpty)
    }

    @Test(
        "wrong usage ends with 2",
        arguments: [
            ["nosuchverb"], ["import"], ["import", "a"], ["images", "--nosuchflag"],
            ["clone", "a", "b", "--size", "10X"],
            ["run"], ["run", "--network", "moon", "base"], ["run", "-v", "relative", "base"], ["mount", "a"],
            ["rm"],
        ])
    func usage(arguments: [String]) throws {
        let machine = try Machine()
        try machine.fail(arguments, status: 2)
        #expect(machine.daemon == nil)
    }

    @Test("version and help need neither root nor a daemon")
    func version() throws {
        let machine = try Machine()
        #expect(try machine.succeed("version").hasPrefix("slacker "))
        #expect(try machine.succeed("--help").contains("import"))
        #expect(try machine.succeed("run", "--help").contains("--read-only"))
        #expect(machine.daemon == nil)
    }

    @Test("not root")
    func notRoot() throws {
        let machine = try Machine()
        let program = machine.directory + "/slacker"
        try machine.host("cp", Machine.program, program)
        let result = try Subprocess.run([
            "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, "--run",
            machine.run, "images",
        ])
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("slacker: not root"))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test("no runc")
    func noRuntime() throws {
        let machine = try Machine.withImage()
        try machine.fail(
            ["run", "base", "true"], words: ["runc", "install"], environment: ["PATH=/nonexistent"])
        #expect(try machine.volumes().isEmpty)
    }

    @Test("no /dev/fuse")
    func noFUSE() throws {
        let machine = try Machine()
        let script = "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec \(Machine.program) images"
        let result = try Subprocess.run([
            "timeout", "60", "env", "SLACKER_ROOT=\(machine.root)", "SLACKER_RUN=\(machine.run)", "unshare",
            "-m",
            "--propagation", "private", "sh", "-c", script,
        ])
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("slacker: /dev/fuse: "), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test("a full disk ends an import with a clear error, leaves nothing, and the next import works")
    func fullDisk() throws {
        let outer = try Machine()
        let (disk, root) = (outer.directory + "/disk", outer.directory + "/small")
        try outer.host("truncate", "-s", "64M", disk)
        try outer.host("mkfs.ext4", "-q", disk)
        try Directories.create(root)
        try outer.host("mount", "-o", "loop", disk, root)
        let machine = try Machine(root: root)
        machine.atEnd { _ = try? Subprocess.run(["umount", root]) }
        let big = try machine.makeRootTar("big", extraBytes: 128 << 20)
        try machine.fail(["import", "rootfs:" + big, "big"], words: ["full", "space"])
        #expect(try machine.images().isEmpty)
        #expect(try eventually { try machine.usage().chunkBytes == 0 })
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("small"), "small")
        #expect(try machine.succeed("run", "--rm", "small", "echo", "fine") == "fine\n")
    }

    @Test("a full disk is named by whoever cannot start a container, and reads go on")
    func fullDiskForContainers() throws {
        let outer = try Machine()
        let (disk, root) = (outer.directory + "/disk", outer.directory + "/small")
        try outer.host("truncate", "-s", "64M", disk)
        try outer.host("mkfs.ext4", "-q", disk)
        try Directories.create(root)
        try outer.host("mount", "-o", "loop", disk, root)
        let machine = try Machine(root: root)
        machine.atEnd { _ = try? Subprocess.run(["umount", root]) }
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        let place = machine.directory + "/a"
        try Directories.create(place)
        // What is left, to the last block.
        try machine.host("sh", "-c", "head -c 64M /dev/zero > \(root)/filler || true")
        try machine.fail(
            ["run", "--rm", "base", "true"], words: [root, "the disk is full", "free some space"])
        #expect(try machine.volumes().isEmpty)
        try machine.succeed("mount", "base", place, "--read-only")
        #expect(try machine.host("cat", place + "/etc/motd") == "hello from the image\n")
        try machine.succeed("umount", place)
        try Directories.removeFile(root + "/filler")
        #expect(try machine.succeed("run", "--rm", "base", "echo", "fine") == "fine\n")
        #expect(try machine.succeed("fsck", "--deep").contains("nothing is wrong"))
    }

    @Test("daemon and keeper killed: the next client starts one, which cleans up, and all images are there")
    func killedDaemon() throws {
        let machine = try Machine.withImage()
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.succeed("clone", "base", "vol")
        try machine.succeed("mount", "vol", place)
        try machine.write("text\n", place + "/data/file")
        try machine.host("sync", "-f", place)
        machine.killAll()
        #expect(machine.daemon == nil)
        #expect(try machine.images().map(\.name) == ["base"])
        #expect(try machine.volumes().map(\.name) == ["vol"])
        #expect(machine.mounts == [machine.run + "/fs"])
        #expect(eventually { machine.loops.isEmpty })
        try machine.succeed("mount", "vol", place)
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        try machine.succeed("umount", place)
        #expect(try machine.succeed("run", "--rm", "base", "echo", "fine") == "fine\n")
    }

    @Test("SIGTERM ends a daemon with mounts; nothing is left mounted and nothing is lost")
    func orderlyEnd() throws {
        let machine = try Machine.withImage()
        let place = machine.directory + "/a"
        try Directories.create(place)
        try machine.succeed("clone", "base", "vol")
        try machine.succeed("mount", "vol", place)
        try machine.write("text\n", place + "/data/file")
        machine.stopDaemon(SIGTERM)
        #expect(machine.mounts.isEmpty)
        #expect(eventually { machine.loops.isEmpty })
        #expect(!Directories.exists(machine.run + "/slacker.sock"))
        try machine.succeed("mount", "vol", place)
        #expect(try machine.host("cat", place + "/data/file") == "text\n")
        try machine.succeed("umount", place)
    }

    @Test("two daemons for one root, and a client that names another root")
    func twoDaemons() throws {
        let machine = try Machine.withImage()
        let other = machine.directory + "/run2"
        try machine.fail(["--run", other, "images"], words: [machine.root, "--root"])
        try machine.fail(
            ["--root", "/var/tmp/elsewhere", "images"], words: ["/var/tmp/elsewhere", machine.root])
        #expect(!Directories.exists("/var/tmp/elsewhere"))
    }

    @Test("many clients at once start one daemon")
    func race() throws {
        let machine = try Machine()
        let command =
            "for i in 1 2 3 4 5 6 7 8; do SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) "
            + "\(Machine.program) images --json & done; wait"
        #expect(
            try machine.host("sh", "-c", command).split(separator: "\n").filter { $0.hasPrefix("[") }.count
                == 8)
    }
}
