// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// `slacker run --rm`: quick, and nothing of it stays.
@Suite("Run --rm", .timeLimit(.minutes(5)))
struct RemoveAtEndTests {
    private func isClean(_ machine: Machine) -> Bool {
        machine.loops.isEmpty && machine.mounts == [machine.run + "/fs"]
            && ((try? Directories.names(in: machine.run + "/ended")) ?? []).isEmpty
    }

    private struct Running: ~Copyable {
        let process: Int32
        let input: OwnedFD
    }

    /// A container that prints `ready` once it has written files, and lives until its input is closed.
    private func start(_ machine: Machine, _ name: String) throws -> Running {
        let pipe = "\(machine.directory)/\(name)-pipe"
        let out = "\(machine.directory)/\(name)-out"
        try machine.host("mkfifo", pipe)
        let script = "echo one > /data/file; sync; echo two > /data/late; echo ready; read line"
        let command =
            "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) \(Machine.program) "
            + "run -i --rm --name \(name) base sh -c '\(script)' < \(pipe) > \(out) 2>/dev/null"
        let child = try Subprocess.spawn(["timeout", "60", "sh", "-c", command], output: 1, errors: 2)
        let writer = try OwnedFD(open: pipe, O_WRONLY)
        #expect(eventually { machine.text(of: out) == "ready\n" })
        return Running(process: child, input: writer)
    }

    @Test("a name is free at once, with nothing of its former life")
    func nameReuse() throws {
        let machine = try Machine.withImage()
        for _ in 1...10 {
            #expect(
                try machine.succeed(
                    "run", "--rm", "--name", "tom", "base", "sh", "-c",
                    "cat /data/x 2>/dev/null; echo $$ > /data/x; echo new") == "new\n")
            #expect(try machine.volumes().isEmpty)
            let status = try machine.status()
            #expect(status.mounts.isEmpty && status.containers.isEmpty)
        }
        #expect(eventually { isClean(machine) })
        #expect(try Directories.names(in: machine.root + "/deltas").isEmpty)
    }

    @Test("fifty of them side by side leave nothing")
    func sideBySide() throws {
        let machine = try Machine.withImage()
        let command =
            "seq 50 | SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) xargs -P 10 -I N "
            + "\(Machine.program) run --rm base sh -c 'echo N > /data/n; cat /data/n'"
        let result = try Subprocess.run(["timeout", "200", "sh", "-c", command])
        #expect(result.status == 0, "\(result.errors)")
        let numbers = result.output.split(separator: "\n").compactMap { Int($0) }
        #expect(numbers.sorted() == Array(1...50))
        #expect(try machine.volumes().isEmpty)
        #expect(try machine.status().containers.isEmpty)
        #expect(eventually { isClean(machine) })
        #expect(try Directories.names(in: machine.run + "/containers").isEmpty)
        #expect(try Directories.names(in: machine.root + "/deltas").isEmpty)
        // The children that wait for the next one, and the keeper.
        let daemon = try #require(machine.daemon)
        #expect(eventually { children(of: daemon) <= 3 })
    }

    private func children(of process: Int32) -> Int {
        (try? Subprocess.run(["pgrep", "-P", "\(process)"]))?.output.split(separator: "\n").count ?? 0
    }

    @Test("daemon and keeper killed: their children go with them, the next start removes the volume")
    func killedDaemon() throws {
        let machine = try Machine.withImage()
        let container = try start(machine, "live")
        let daemon = try #require(machine.daemon)
        let kin = try Subprocess.run(["pgrep", "-P", "\(daemon)"]).output.split(separator: "\n")
        #expect(!kin.isEmpty)
        #expect(try machine.volumes().map(\.name) == ["live"])
        machine.killAll()
        #expect(eventually { kin.allSatisfy { !Directories.exists("/proc/\($0)") } })
        #expect(try machine.volumes().isEmpty)
        #expect(eventually { isClean(machine) })
        #expect(try Directories.names(in: machine.root + "/deltas").isEmpty)
        kill(container.process, SIGKILL)
        _ = try Subprocess.wait(for: container.process, "run")
        #expect(try machine.succeed("run", "--rm", "--name", "live", "base", "echo", "fine") == "fine\n")
    }

    @Test("a snapshot of a running one is durable and clean")
    func snapshot() throws {
        let machine = try Machine.withImage()
        let container = try start(machine, "live")
        try machine.succeed("snapshot", "live", "kept")
        machine.killAll()
        kill(container.process, SIGKILL)
        _ = try Subprocess.wait(for: container.process, "run")
        #expect(try machine.volumes().isEmpty)
        let check = try machine.slacker("run", "--rm", "kept", "cat", "/data/file", "/data/late")
        #expect(check.output == "one\ntwo\n", "\(check.errors)")
        let result = try Subprocess.run(["e2fsck", "-fn", machine.run + "/fs/snapshots/kept"])
        #expect(result.status == 0, "\(result.output)")
    }

    @Test("the daemon's end waits for what is still to be taken away")
    func orderlyEnd() throws {
        let machine = try Machine.withImage()
        for _ in 1...3 { try machine.succeed("run", "--rm", "base", "true") }
        machine.stopDaemon(SIGTERM)
        #expect(machine.mounts.isEmpty)
        #expect(eventually { machine.loops.isEmpty })
        #expect(try Directories.names(in: machine.run + "/ended").isEmpty)
    }

    @Test("a child that waits and is killed is replaced")
    func killedChild() throws {
        let machine = try Machine.withImage()
        try machine.succeed("run", "--rm", "base", "true")
        let daemon = try #require(machine.daemon)
        try machine.host("pkill", "-KILL", "-P", "\(daemon)")
        #expect(try machine.succeed("run", "--rm", "base", "echo", "fine") == "fine\n")
        #expect(eventually { isClean(machine) })
    }
}
