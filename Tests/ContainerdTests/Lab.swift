// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// A daemon with directories of its own; both go with the scope that it was made for.
final class Lab: Sendable {
    @TaskLocal static var current: Lab?

    let directory: String
    private let process: Lock<ServerProcess>

    var root: String { directory + "/root" }
    var run: String { directory + "/run" }
    var socket: String { run + "/containerd.sock" }

    static let program: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".build/") || $0.contains(".xctest") } ?? ""
        let beside = Directories.parent(of: bundle) + "/slacker"
        return access(beside, X_OK) == 0 ? beside : ".build/debug/slacker"
    }()

    init() throws {
        // Short: the address of a socket has 107 bytes.
        directory = "/var/tmp/slk-\(getpid())-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        try Directories.create(directory)
        process = Lock(try Self.start(directory))
        try waitUntilServing()
    }

    private static func start(_ directory: String) throws -> ServerProcess {
        try ServerProcess(
            [program, "--root", directory + "/root", "--run", directory + "/run", "daemon", "--foreground"],
            logPath: directory + "/log")
    }

    private func waitUntilServing() throws {
        for _ in 0..<1500 where access(socket, F_OK) != 0 { usleep(20_000) }
        if access(socket, F_OK) == 0 { return }
        let log = String(decoding: try File.small(directory + "/log"), as: UTF8.self)
        throw TestFailure("the daemon does not serve: \(log)")
    }

    /// Kills the daemon, and returns when the one that its keeper starts serves.
    func killDaemon() throws {
        let former = process.withLock { $0 }
        kill(former.identifier, SIGKILL)
        while former.isRunning { usleep(1000) }
        let limit = MonotonicTime.now.advanced(bySeconds: 30)
        while try !slacker("status").succeeded {
            if MonotonicTime.now > limit { throw TestFailure("no daemon after the death of the first") }
            usleep(20_000)
        }
    }

    private func slacker(_ arguments: String...) throws -> Subprocess.Result {
        try Subprocess.run(
            ["timeout", "40", "env", "SLACKER_ROOT=\(root)", "SLACKER_RUN=\(run)", Self.program] + arguments)
    }

    func end() {
        // In order, as it leaves nothing then; a keeper that does not end by that is ended.
        let script = """
            pgrep -f -- "--run $0/run daemon --foreground" | xargs -r kill
            for i in $(seq 200); do pgrep -f -- " keeper $0/run$" >/dev/null || break; sleep 0.05; done
            pgrep -f -- "$0/run( |$)" | xargs -r kill -9
            grep -o " $0/[^ ]*" /proc/self/mountinfo | sort -ru | xargs -r umount -l
            """
        _ = try? Subprocess.run(["sh", "-c", script, directory])
        try? Directories.removeTree(directory)
    }
}

/// One daemon for all tests of a suite.
struct WithLab: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let lab = try Lab()
        defer { lab.end() }
        try await Lab.$current.withValue(lab) { try await function() }
    }
}

/// Runs a script in a directory; it fails with the first command that does.
@discardableResult
func shell(
    _ script: String, in directory: String, sourceLocation: SourceLocation = #_sourceLocation
) throws -> String {
    let result = try Subprocess.run(["sh", "-ec", "cd \"$0\"; " + script, directory])
    #expect(result.succeeded, "\(script): \(result.errors)", sourceLocation: sourceLocation)
    return result.output
}
