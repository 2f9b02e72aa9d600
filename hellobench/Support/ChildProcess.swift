// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program that runs beside us, in a process group of its own, so that Ctrl-C reaches it through us only.
final class ChildProcess {
    let name: String
    let id: pid_t
    private var status: Int32?

    /// Starts a program, found through PATH, its output going to a file.
    init(_ arguments: [String], outputPath: String, input: Int32? = nil) throws(BenchError) {
        name = arguments.joined(separator: " ")
        id = try Self.spawn(arguments, input: input) { actions in
            posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
    }

    /// Starts a program in a process group of its own, with all signals as they are by default.
    ///
    /// - Parameters:
    ///   - input: its standard input; nil for none.
    ///   - output: adds what opens descriptor 1, which descriptor 2 becomes a copy of.
    static func spawn(
        _ arguments: [String], input: Int32?, output: (inout posix_spawn_file_actions_t) -> Void
    ) throws(BenchError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        output(&actions)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF))
        var child = pid_t()
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        let result = posix_spawnp(&child, arguments[0], &actions, &attributes, &words, environ)
        if result != 0 { throw .call("posix_spawn", subject: arguments[0], code: result) }
        return child
    }

    /// The exit status once the program has ended, 128 plus the signal if one ended it; nil while it runs.
    func poll() -> Int32? {
        if let status { return status }
        var raw: Int32 = 0
        if waitpid(id, &raw, WNOHANG) == id {
            status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
        }
        return status
    }

    /// Waits for the end; kills the program when time is up, or when we are interrupted.
    func wait(seconds: Double, interruptible: Bool = true) throws(BenchError) -> Int32 {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var pauseMicroseconds: UInt32 = 500
        while true {
            if let status = poll() { return status }
            if interruptible, Interrupt.isRaised {
                stop(graceSeconds: 5)
                throw .interrupted
            }
            if ContinuousClock.now > deadline {
                stop(graceSeconds: 0)
                throw .timedOut(command: name, seconds: seconds)
            }
            usleep(pauseMicroseconds)
            pauseMicroseconds = min(10_000, pauseMicroseconds * 2)
        }
    }

    /// Asks the program to end, and kills its whole group when it does not.
    func stop(graceSeconds: Double) {
        guard poll() == nil else { return }
        kill(id, SIGTERM)
        let deadline = ContinuousClock.now + .seconds(graceSeconds)
        while poll() == nil, ContinuousClock.now < deadline { usleep(5000) }
        if poll() == nil { kill(-id, SIGKILL) }
        // A process that hangs in the kernel cannot be waited for; it must not hang us.
        let last = ContinuousClock.now + .seconds(5)
        while poll() == nil, ContinuousClock.now < last { usleep(5000) }
    }
}

/// Programs that run to their end while we wait.
struct Commands {
    /// Where output goes until it is read.
    let directory: String

    /// Runs a program and gives what it printed; a status other than 0 is an error with its last words.
    @discardableResult
    func run(
        _ arguments: [String], seconds: Double = 120, interruptible: Bool = true
    ) throws(BenchError) -> String {
        if interruptible { try Interrupt.check() }
        let output = directory + "/output"
        let child = try ChildProcess(arguments, outputPath: output)
        let status = try child.wait(seconds: seconds, interruptible: interruptible)
        let text = Files.text(output) ?? ""
        if status != 0 {
            let tail = text.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw .commandFailed(command: arguments.joined(separator: " "), status: status, output: tail)
        }
        return text
    }

    /// Waits until a condition holds.
    func wait(for what: String, seconds: Double, _ condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try !condition() {
            try Interrupt.check()
            if ContinuousClock.now > deadline { throw BenchError.timedOut(command: what, seconds: seconds) }
            usleep(5000)
        }
    }
}
