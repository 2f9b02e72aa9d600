// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A daemon's two directories, and the built `slacker` to work on them.
///
/// Everything goes in the end, whatever the test did: daemon, containers, mounts, loop devices, files.
final class Machine {
    let directory: String
    let root: String
    let run: String
    private var cleanups: [() -> Void] = []

    init(root: String? = nil) throws {
        directory = "/var/tmp/slk-\(getpid())-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        self.root = root ?? directory + "/root"
        run = directory + "/run"
        try Directories.create(directory, mode: 0o755)
    }

    deinit {
        endForGood()
        for cleanup in cleanups.reversed() { cleanup() }
        unmountAll()
        try? Directories.removeTree(directory)
    }

    /// Runs when the machine goes, the last one first.
    func atEnd(_ cleanup: @escaping () -> Void) {
        cleanups.append(cleanup)
    }

    /// The binary under test.
    static let program: String = {
        if let path = getenv("SLACKER_BIN") { return String(cString: path) }
        let bundle = CommandLine.arguments.first { $0.contains(".build/") || $0.contains(".xctest") } ?? ""
        let candidates = [Directories.parent(of: bundle) + "/slacker", ".build/debug/slacker"]
        return candidates.first { access($0, X_OK) == 0 } ?? ".build/debug/slacker"
    }()

    /// Runs `slacker` with these directories and a watchdog.
    @discardableResult
    func slacker(
        _ arguments: String..., environment: [String] = [], seconds: Int = 60
    ) throws -> Subprocess.Result {
        try slacker(arguments, environment: environment, seconds: seconds)
    }

    @discardableResult
    func slacker(
        _ arguments: [String], environment: [String] = [], seconds: Int = 60
    ) throws -> Subprocess.Result {
        try Subprocess.run(
            ["timeout", "-k", "5", "\(seconds)", "env", "SLACKER_ROOT=\(root)", "SLACKER_RUN=\(run)"]
                + environment
                + [Self.program] + arguments)
    }

    /// Runs `slacker` and expects success and nothing on standard error.
    @discardableResult
    func succeed(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let result = try slacker(arguments)
        #expect(result.status == 0, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        #expect(result.errors == "", "\(arguments)", sourceLocation: sourceLocation)
        return result.output
    }

    /// Runs `slacker` and expects an error of one line that holds all of the words.
    func fail(
        _ arguments: [String], status: Int32 = 1, words: [String] = [], environment: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try slacker(arguments, environment: environment)
        #expect(result.status == status, "\(arguments): \(result)", sourceLocation: sourceLocation)
        #expect(result.output == "", "\(arguments)", sourceLocation: sourceLocation)
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        #expect(result.errors.hasPrefix("slacker: "), "\(result.errors)", sourceLocation: sourceLocation)
        for word in words {
            #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: sourceLocation)
        }
    }

    /// The daemon's process, while one runs.
    var daemon: Int32? {
        guard let result = try? Subprocess.run(["pgrep", "-f", "--", "--run \(run) daemon --foreground"])
        else {
            return nil
        }
        return result.output.split(separator: "\n").first.flatMap { Int32($0) }
    }

    /// Ends the daemon and waits until it is gone.
    func stopDaemon(_ signal: Int32) {
        guard let process = daemon else { return }
        kill(process, signal)
        let deadline = MonotonicTime.now.advanced(bySeconds: 40)
        while kill(process, 0) == 0, daemon != nil {
            if MonotonicTime.now > deadline {
                kill(process, SIGKILL)
                return
            }
            usleep(20_000)
        }
    }

    /// The keeper's process, while there is one.
    var keeper: Int32? {
        guard let result = try? Subprocess.run(["pgrep", "-f", "--", "keeper \(run)$"]) else { return nil }
        return result.output.split(separator: "\n").first.flatMap { Int32($0) }
    }

    /// Ends the daemon, and one that the keeper may start meanwhile, and waits until the keeper has gone too.
    private func endForGood() {
        stopDaemon(SIGTERM)
        _ = eventually(seconds: 5) {
            if daemon != nil { stopDaemon(SIGTERM) }
            return keeper == nil
        }
        if let keeper { kill(keeper, SIGKILL) }
        stopDaemon(SIGKILL)
    }

    /// Ends daemon and keeper at one time, so that nothing of their life goes on.
    func killAll() {
        // It would start another keeper at once.
        if let daemon { kill(daemon, SIGSTOP) }
        if let keeper { kill(keeper, SIGKILL) }
        stopDaemon(SIGKILL)
    }

    /// Kills the daemon, and returns when another one serves.
    @discardableResult
    func killDaemon(sourceLocation: SourceLocation = #_sourceLocation) throws -> Int32 {
        let former = try #require(daemon, sourceLocation: sourceLocation)
        kill(former, SIGKILL)
        let isBack = try eventually(seconds: 20) {
            guard let process = daemon, process != former else { return false }
            return try slacker("status").succeeded
        }
        #expect(isBack, "no daemon after the death of \(former)", sourceLocation: sourceLocation)
        return former
    }

    /// Fails every request of the mount when the time is up, so that no test hangs in the kernel.
    ///
    /// Ends with the machine.
    func guardMount(seconds: Int) throws {
        let script = """
            sleep \(seconds)
            minor=$(awk -v d='\(run)/fs' '$5 == d { split($3, p, ":"); print p[2] }' /proc/self/mountinfo)
            [ -n "$minor" ] || exit 0
            mount -t fusectl none /sys/fs/fuse/connections && echo 1 > /sys/fs/fuse/connections/$minor/abort
            """
        let guardian = try Subprocess.spawn(
            ["unshare", "-m", "--propagation", "slave", "sh", "-c", script], output: 1, errors: 2,
            newSession: true)
        atEnd {
            kill(-guardian, SIGKILL)
            _ = try? Subprocess.wait(for: guardian, "guard")
        }
    }

    /// Mounts below the machine's directory, as the kernel's table has them.
    var mounts: [String] {
        guard let file = try? File(open: "/proc/self/mounts", O_RDONLY),
            let bytes = try? file.read(count: 1 << 20, at: 0)
        else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            .compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) }
            .filter { $0.hasPrefix(directory + "/") }
    }

    /// Loop devices over files below the machine's directory.
    var loops: [String] {
        let names = (try? Directories.names(in: "/sys/block")) ?? []
        return names.filter { name in
            guard name.hasPrefix("loop"),
                let file = try? File(open: "/sys/block/\(name)/loop/backing_file", O_RDONLY),
                let bytes = try? file.read(count: 4096, at: 0)
            else { return false }
            return String(decoding: bytes, as: UTF8.self).hasPrefix(directory + "/")
        }
    }

    /// The start of a small file; nil when there is none.
    func text(of path: String) -> String? {
        guard let file = try? File(open: path, O_RDONLY), let bytes = try? file.read(count: 4096, at: 0)
        else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func unmountAll() {
        for mount in mounts.reversed() { umount2(mount, 2) }
        for loop in loops { _ = try? Subprocess.run(["losetup", "-d", "/dev/" + loop]) }
    }
}

/// Waits until a condition holds; false when it does not in time.
func eventually(seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
    while try !condition() {
        if MonotonicTime.now > deadline { return false }
        usleep(20_000)
    }
    return true
}
