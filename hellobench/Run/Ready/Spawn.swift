// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Starts programs whose standard streams are pipes.
enum Spawn {
    struct Begun {
        let id: pid_t
        /// Just before the program was started.
        let startedAt: Int64
        /// Both of its output streams; the caller closes it.
        let output: Int32
    }

    /// What fits a pipe without anybody reading it.
    static let longestInput = 60 << 10

    /// A pipe is open without its close-on-exec flag for a moment, in which nobody else may start a program.
    private static let turn = Monitor(())

    /// - Throws: when there is no such program, or the input is too long.
    static func withPipes(_ arguments: [String], input: String?) throws(BenchError) -> Begun {
        if let input, input.utf8.count > longestInput {
            throw .answer(
                "\(arguments[0]): standard input of more than \(longestInput >> 10) KiB; mount a file")
        }
        return try turn.use { (_: inout Void) throws(BenchError) -> Begun in
            let output = try pipe()
            defer { close(output.write) }
            do throws(BenchError) {
                let source = try input.map { text throws(BenchError) in try filled(with: text) }
                defer { if let source { close(source) } }
                let startedAt = Monotonic.now
                let id = try ChildProcess.spawn(arguments, input: source) { actions in
                    posix_spawn_file_actions_adddup2(&actions, output.write, 1)
                }
                return Begun(id: id, startedAt: startedAt, output: output.read)
            } catch {
                close(output.read)
                throw error
            }
        }
    }

    private static func pipe() throws(BenchError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        if Glibc.pipe(&ends) < 0 { throw .last("pipe", "standard streams") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// The reading end of a pipe that holds the text and then ends.
    private static func filled(with text: String) throws(BenchError) -> Int32 {
        let ends = try pipe()
        defer { close(ends.write) }
        let bytes = Array(text.utf8)
        if !bytes.isEmpty, write(ends.write, bytes, bytes.count) != bytes.count {
            let error = BenchError.last("write", "standard input")
            close(ends.read)
            throw error
        }
        return ends.read
    }
}
