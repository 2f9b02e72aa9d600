// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// Servers, disks and daemons that go away, and what comes after.
@Suite("Fetching through outages", .timeLimit(.minutes(3)))
struct FetchFaultOutageTests {
    @Test("a running container pauses while the registry is gone for 20 s, and goes on")
    func registryAway() throws {
        let lab = try FaultLab(direct: true)
        try lab.pull()
        let registry = lab.registry
        let command = [
            "run", "--rm", "copy", "/bin/sh", "-c", "echo up; sleep 2; exec sha256sum -c -s /etc/sums",
        ]
        let result = Lock<Subprocess.Result?>(nil)
        let run = try lab.background(command, seconds: 90) { answer in result.withLock { $0 = answer } }
        defer { run.join() }
        #expect(try eventually(seconds: 30) { try !lab.machine.status().containers.isEmpty })
        registry.stop()
        let stopped = MonotonicTime.now
        #expect(try eventually(seconds: 15) { try lab.fetching().sources.contains { $0.isDown } })
        while MonotonicTime.now.seconds(since: stopped) < 20 { usleep(100_000) }
        let early = result.withLock { $0 }
        #expect(early == nil, "\(String(describing: early))")
        #expect(try !lab.fetching().stalled.isEmpty)
        try registry.start()
        #expect(eventually(seconds: 40) { result.withLock { $0 != nil } })
        let answer = result.withLock { $0 }
        #expect(answer?.status == 0 && answer?.errors == "", "\(String(describing: answer))")
        try lab.expectHealed()
    }

    @Test("with the registry gone for good, what is absent fails after the limit and all else works")
    func registryGone() throws {
        let lab = try FaultLab(["SLACKER_FETCH_WAIT_SECONDS=3"], direct: true)
        try lab.pull()
        let place = lab.machine.directory + "/place"
        try Directories.create(place)
        // What the script below is made of is here before the registry goes.
        let script = "cat /etc/motd > /dev/null; echo $?; cat /etc/motd"
        #expect(try lab.slacker("run", "--rm", "copy", "/bin/sh", "-c", script).status == 0)
        #expect(try lab.slacker("mount", "copy", place).status == 0)
        lab.registry.stop()
        let start = MonotonicTime.now
        // Not read by this process: whoever reads must be one that can be given up.
        let mounted = try Subprocess.run(["timeout", "-k", "1", "30", "cat", place + "/data/first"])
        #expect(mounted.status == 1 && mounted.errors.contains("nput/output error"), "\(mounted.errors)")
        let absent = script.replacing("/etc/motd >", with: "/data/noise >")
        let mixed = try lab.slacker("run", "--name", "work", "copy", "/bin/sh", "-c", absent)
        #expect(mixed.status == 0 && mixed.output == "1\nhello from the image\n", "\(mixed)")
        #expect(MonotonicTime.now.seconds(since: start) < 40)
        let source = try #require(try lab.fetching().sources.first)
        #expect(source.isDown && source.lastError != nil, "\(source)")
        let shown = try lab.machine.succeed("status")
        #expect(shown.contains(" down "), "\(shown)")
        #expect(try lab.slacker("umount", place).status == 0)
        #expect(try lab.slacker("rm", "work").status == 0)
        let fill = try lab.slacker("fill", "copy", "--detach")
        #expect(fill.status == 0, "\(fill)")
        #expect(try lab.slacker("rm", "copy").status == 0)
        #expect(try lab.machine.localImages().isEmpty)
        try lab.expectClean()
    }

    @Test("a daemon killed while it fetches keeps the image and nothing wrong")
    func killed() throws {
        let lab = try FaultLab()
        try lab.pull()
        for bytes in [40_000, 300_000] {
            lab.proxy.heal()
            // Some has come and more is on the way.
            lab.proxy.inject(
                .stall(afterBytes: bytes, seconds: 8), times: .max,
                where: { request in
                    FaultLab.isPack(request) && request.target.contains("sha256")
                })
            #expect(try lab.slacker("fill", "copy", "--detach").status == 0)
            usleep(500_000)
            lab.machine.stopDaemon(SIGKILL)
            lab.proxy.heal()
            #expect(try lab.machine.localImages().map(\.name) == ["copy"])
        }
        try lab.expectWhole()
    }

    @Test("a full disk fails reads, not the daemon, and is forgotten when there is room")
    func diskFull() throws {
        let disk = try SmallDisk(megabytes: 64)
        let lab = try FaultLab(["SLACKER_FETCH_WAIT_SECONDS=3"], root: disk.place)
        // The daemon goes before its disk, whatever happens.
        lab.machine.atEnd { withExtendedLifetime(disk) {} }
        try lab.pull()
        #expect(try lab.slacker("run", "--rm", "copy", "/bin/cat", "/etc/motd").status == 0)
        try disk.occupy()
        let full = try lab.slacker("run", "--rm", "copy", "/bin/sh", "-c", "sha256sum /data/noise; true")
        #expect(!full.output.contains("/data/noise"), "\(full)")
        #expect(!full.errors.isEmpty && !full.errors.contains("crash"), "\(full)")
        #expect(lab.machine.daemon != nil)
        _ = try lab.machine.status()
        try disk.vacate()
        #expect(try eventually(seconds: 20) { try lab.check().status == 0 })
        try lab.expectHealed()
    }
}

extension FaultLab {
    /// Runs `slacker` on a thread of its own.
    func background(
        _ arguments: [String], seconds: Int, _ completion: @escaping @Sendable (Subprocess.Result) -> Void
    ) throws -> NamedThread {
        let command = [
            "timeout", "-k", "5", "\(seconds)", "env", "SLACKER_ROOT=\(machine.root)",
            "SLACKER_RUN=\(machine.run)", Machine.program,
        ]
        return try NamedThread("test-run") {
            if let result = try? Subprocess.run(command + arguments) { completion(result) }
        }
    }
}

/// A file system of its own for a daemon's root.
private final class SmallDisk {
    let place: String
    private let directory: String

    init(megabytes: Int) throws {
        directory = try makeTestDirectory("disk")
        place = directory + "/place"
        try Directories.create(place)
        try output(["truncate", "-s", "\(megabytes)M", directory + "/image"])
        try output(["mkfs.ext4", "-q", "-F", directory + "/image"])
        try output(["mount", "-o", "loop", directory + "/image", place])
    }

    deinit {
        umount2(place, 2)
        try? Directories.removeTree(directory)
    }

    /// Leaves no room.
    func occupy() throws {
        _ = try Subprocess.run(["dd", "if=/dev/zero", "of=\(place)/ballast", "bs=64k", "status=none"])
        try output(["sync", "-f", place])
    }

    func vacate() throws {
        try output(["rm", place + "/ballast"])
    }
}
