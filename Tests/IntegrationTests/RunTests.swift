// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite("Run", .timeLimit(.minutes(5)))
struct RunTests {
    @Test("output, exit status and standard error are the container's")
    func streams() throws {
        let machine = try Machine.withImage()
        #expect(try machine.succeed("run", "--rm", "base", "echo", "-n", "hi", "there") == "hi there")
        let result = try machine.slacker("run", "--rm", "base", "sh", "-c", "echo out; echo err >&2; exit 7")
        #expect(result.status == 7)
        #expect(result.output == "out\n")
        #expect(result.errors == "err\n")
        #expect(try machine.slacker("run", "--rm", "base", "/bin/none").status == 127)
        #expect(try machine.slacker("run", "--rm", "base", "/etc/motd").status == 126)
    }

    @Test("flags: environment, user, directory, volumes, network, name, entrypoint")
    func flags() throws {
        let machine = try Machine.withImage()
        let shared = machine.directory + "/shared"
        try Directories.create(shared, mode: 0o777)
        try machine.write("given\n", shared + "/in")
        #expect(
            try machine.succeed("run", "--rm", "-e", "A=1", "-e", "B=two", "base", "sh", "-c", "echo $A$B")
                == "1two\n")
        #expect(try machine.succeed("run", "--rm", "-u", "alice", "base", "id", "-G") == "1001 50\n")
        #expect(
            try machine.succeed("run", "--rm", "-u", "5:6", "base", "sh", "-c", "id -u; id -g") == "5\n6\n")
        #expect(try machine.succeed("run", "--rm", "-w", "/data", "base", "pwd") == "/data\n")
        #expect(
            try machine.succeed(
                "run", "--rm", "-v", shared + ":/mnt", "base", "sh", "-c", "cat /mnt/in; echo made > /mnt/out"
            ) == "given\n")
        #expect(try machine.host("cat", shared + "/out") == "made\n")
        let names = try machine.succeed("run", "--rm", "-u", "alice", "base", "cat", "/etc/hosts")
        #expect(names.contains("localhost"))
        let readOnly = try machine.slacker(
            "run", "--rm", "-v", shared + ":/mnt:ro", "base", "touch", "/mnt/x")
        #expect(readOnly.status == 1)
        let links = try machine.succeed("run", "--rm", "--network", "none", "base", "ls", "/sys/class/net")
        #expect(links == "lo\n")
        #expect(try machine.succeed("run", "--rm", "--name", "tom", "base", "hostname") == "tom\n")
        #expect(try machine.succeed("run", "--rm", "--entrypoint", "/bin/echo", "base", "-n", "x") == "x")
    }

    @Test("standard input is passed on with -i and not without")
    func input() throws {
        let machine = try Machine.withImage()
        let command =
            "echo typed | SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) \(Machine.program)"
        #expect(try machine.host("sh", "-c", command + " run --rm -i base cat") == "typed\n")
        #expect(try machine.host("sh", "-c", command + " run --rm base cat") == "")
    }

    @Test("SIGTERM reaches the container and its status comes back")
    func signals() throws {
        let machine = try Machine.withImage()
        let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
        let result = try Subprocess.run([
            "timeout", "-s", "TERM", "--preserve-status", "3", "env", "SLACKER_ROOT=\(machine.root)",
            "SLACKER_RUN=\(machine.run)", Machine.program, "run", "--rm", "base", "sh", "-c", script,
        ])
        #expect(result.status == 3)
        #expect(result.output == "ready\nbye\n")
        #expect(try machine.volumes().isEmpty)
    }

    @Test("--rm leaves nothing behind")
    func remove() throws {
        let machine = try Machine.withImage()
        try machine.succeed("run", "--rm", "base", "true")
        #expect(try machine.volumes().isEmpty)
        #expect(try machine.status().mounts.isEmpty)
        #expect(try Directories.names(in: machine.run + "/containers").isEmpty)
        // In the background.
        #expect(eventually { machine.mounts == [machine.run + "/fs"] })
        #expect(eventually { machine.loops.isEmpty })
    }

    @Test("write, snapshot, clone, run: the snapshot has what was written, the image has not")
    func snapshot() throws {
        let machine = try Machine.withImage()
        try machine.succeed("run", "--name", "work", "base", "sh", "-c", "echo kept > /data/file; sync")
        #expect(try machine.volumes().map(\.name) == ["work"])
        try machine.succeed("snapshot", "work", "base:2")
        #expect(try machine.succeed("run", "--rm", "base:2", "cat", "/data/file") == "kept\n")
        #expect(try machine.slacker("run", "--rm", "base", "cat", "/data/file").status == 1)
        try machine.succeed("rm", "work")
        #expect(try machine.succeed("run", "--rm", "base:2", "cat", "/data/file") == "kept\n")
    }

    @Test("a running container is snapshotted as it is at that moment")
    func snapshotRunning() throws {
        let machine = try Machine.withImage()
        let script = "echo one > /data/file; echo ready; read line; echo two > /data/file"
        let pipe = machine.directory + "/pipe"
        try machine.host("mkfifo", pipe)
        let command =
            "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) \(Machine.program) "
            + "run -i --name live base sh -c '\(script)' < \(pipe) > \(machine.directory)/out"
        let child = try Subprocess.spawn(["timeout", "60", "sh", "-c", command], output: 1, errors: 2)
        let writer = try OwnedFD(open: pipe, O_WRONLY)
        let out = machine.directory + "/out"
        #expect(eventually { machine.text(of: out) == "ready\n" })
        try machine.succeed("snapshot", "live", "middle")
        _ = "go\n".withCString { Glibc.write(writer.raw, $0, 3) }
        #expect(try Subprocess.wait(for: child, "run") == 0)
        #expect(try machine.succeed("run", "--rm", "middle", "cat", "/data/file") == "one\n")
        try machine.succeed("snapshot", "live", "end")
        #expect(try machine.succeed("run", "--rm", "end", "cat", "/data/file") == "two\n")
    }

    @Test("--read-only shares the image and cannot write it")
    func readOnly() throws {
        let machine = try Machine.withImage()
        #expect(
            try machine.succeed("run", "--read-only", "base", "cat", "/etc/motd") == "hello from the image\n")
        #expect(try machine.slacker("run", "--read-only", "base", "touch", "/data/x").status == 1)
        #expect(try machine.volumes().isEmpty)
        #expect(machine.loops.isEmpty)
    }

    @Test("--size gives the root file system that size")
    func size() throws {
        let machine = try Machine.withImage()
        let output = try machine.succeed("run", "--name", "big", "--size", "3G", "base", "df", "-k", "/")
        let fields = output.split(separator: "\n").last?.split(separator: " ") ?? []
        let kilobytes = try #require(fields.dropFirst().first.flatMap { Int($0) })
        #expect(kilobytes > 2_700_000 && kilobytes < 3_200_000, "\(output)")
        #expect(try machine.volumes().first?.sizeBytes == 3 << 30)
    }
}
