// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// What ends and starts again under containers that go on.
@Suite("containerd, restarts", .withContainerd, .timeLimit(.minutes(5)))
struct ContainerdRestartTests {
    enum Ending: CaseIterable {
        case containerd, containerdKilled, daemonKilled, daemonReplaced, bothKilled
    }

    private static let count = 20
    /// Writes on and on; a write that fails is noted where it cannot fail.
    private static let writer = """
        i=0; while :; do i=$((i+1)); echo $i >>/data/log || echo $i >/dev/shm/failed; \
        [ $((i % 20)) != 0 ] || sync -f /data/log || echo s$i >/dev/shm/failed; sleep 0.02; done
        """

    @Test("twenty containers write on while containerd, the daemon, or both end and start again")
    func restarts() throws {
        let lab = try ContainerdLab()
        try lab.pull()
        for index in 0..<Self.count { try lab.start("w\(index)", "sh", "-c", Self.writer) }
        var before = try progress(lab)
        for ending in Ending.allCases {
            try restart(lab, ending)
            let after = try progress(lab)
            for index in 0..<Self.count { #expect(after[index] > before[index], "w\(index): \(ending)") }
            before = after
            // What is made now lives beside what was adopted.
            #expect(try lab.run("new-\(ending)", "cat", "/data/link") == "second\nthird\n")
        }
        for index in 0..<Self.count { try lab.remove("w\(index)") }
        try lab.containerd.succeed("images", "remove", "--sync", lab.image)
        try lab.expectNothingLeft()
    }

    private func restart(_ lab: ContainerdLab, _ ending: Ending) throws {
        switch ending {
        case .containerd:
            try lab.containerd.stop()
            try lab.containerd.start()
        case .containerdKilled:
            try lab.containerd.stop(SIGKILL)
            try lab.containerd.start()
        case .daemonKilled:
            try lab.machine.killDaemon()
        case .daemonReplaced:
            try lab.machine.succeed("daemon", "--replace")
        case .bothKilled:
            try lab.containerd.stop(SIGKILL)
            try lab.machine.killDaemon()
            try lab.containerd.start()
        }
    }

    @Test("views and prepared snapshots of a daemon that was killed are there, and can be used up")
    func adopted() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        try lab.pull()
        let top = try #require(try ctr.topChain())
        try ctr.snapshots("prepare", "active", top)
        try ctr.snapshots("view", "view", top)
        let (active, view) = (try ctr.directory(of: "active"), try ctr.directory(of: "view"))
        try lab.machine.host("sh", "-c", "echo new >$0/data/new", active)
        try lab.machine.killDaemon()
        #expect(
            try lab.machine.host("cat", active + "/data/new", view + "/data/second") == "new\nsecond\nthird\n"
        )
        // containerd tries again to connect after a second.
        let isBack = try eventually {
            try ctr.ctr("snapshots", "--snapshotter", "slacker", "info", "active").succeeded
        }
        #expect(isBack)
        #expect(try ctr.directory(of: "active") == active)
        #expect(try ctr.directory(of: "view") == view)
        try ctr.snapshots("commit", "kept", "active")
        try ctr.snapshots("view", "again", "kept")
        #expect(try lab.machine.host("cat", ctr.directory(of: "again") + "/data/new") == "new\n")
        // The view is containerd's to collect: nothing refers to it.
        for key in ["again", "kept"] { try ctr.snapshots("remove", key) }
        try ctr.succeed("images", "remove", "--sync", lab.image)
        try lab.expectNothingLeft()
    }

    /// Lines that each container has written without a failure.
    private func progress(_ lab: ContainerdLab) throws -> [Int] {
        try (0..<Self.count).map { index in
            let text = try lab.exec(
                "w\(index)", "test ! -e /dev/shm/failed && awk 'END { print NR; print }' /data/log")
            let numbers = text.split(separator: "\n").compactMap { Int($0) }
            // No line is missing, and none is there twice.
            #expect(numbers.count == 2 && numbers[0] == numbers[1], "w\(index): \(text)")
            return numbers.first ?? 0
        }
    }
}
