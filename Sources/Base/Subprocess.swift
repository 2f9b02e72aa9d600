// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Runs another program to its end and keeps what it printed.
public enum Subprocess {
    public struct Result: Sendable {
        /// The exit status; 128 plus the signal's number when a signal ended it, as shells count.
        public let status: Int32
        public let output: String
        public let errors: String

        public var succeeded: Bool { status == 0 }
    }

    /// Bytes kept of either stream; the rest is read and dropped, so the child never blocks on a full pipe.
    public static let outputLimitBytes = 1 << 20

    /// Bytes that `run` takes as input at most: what fits into a pipe that nobody reads yet.
    public static let inputLimitBytes = 4096

    /// Runs `arguments[0]`, found through PATH, with no standard input, or a short one.
    ///
    /// Blocks the calling thread.
    /// - Parameters:
    ///   - input: at most `inputLimitBytes`.
    ///   - deadline: when it is killed with all that it started; the error is then ETIMEDOUT.
    public static func run(
        _ arguments: [String], input: [UInt8]? = nil, deadline: MonotonicTime? = nil
    ) throws(SystemError) -> Result {
        precondition(!arguments.isEmpty, "a command has at least a name")
        let output = try Pipe()
        let errors = try Pipe()
        let source = try input.map { bytes throws(SystemError) in try filled(bytes) }
        // A session of its own is a process group of its own, which a signal reaches whole.
        let child = try spawn(
            arguments, input: source?.reader, output: output.writer, errors: errors.writer,
            newSession: deadline != nil)
        _ = output.closeWriter()
        _ = errors.closeWriter()
        guard let texts = drain(output.reader, errors.reader, deadline) else {
            kill(-child, SIGKILL)
            _ = try wait(for: child, arguments[0])
            throw SystemError(ETIMEDOUT, "wait", arguments[0])
        }
        return Result(status: try wait(for: child, arguments[0]), output: texts.0, errors: texts.1)
    }

    /// A pipe that holds the bytes and then its end; written before anyone could break it off.
    private static func filled(_ bytes: [UInt8]) throws(SystemError) -> Pipe {
        precondition(bytes.count <= inputLimitBytes, "more would block")
        let pipe = try Pipe()
        if retrying({ write(pipe.writer, bytes, bytes.count) }) < 0 {
            throw SystemError.last("write", "pipe")
        }
        _ = pipe.closeWriter()
        return pipe
    }

    /// Waits for a child and gives its status as `Result.status` counts it.
    public static func wait(for child: Int32, _ name: String) throws(SystemError) -> Int32 {
        var status: Int32 = 0
        if retrying({ waitpid(child, &status, 0) }) < 0 { throw SystemError.last("waitpid", name) }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    /// Starts a program without waiting for it.
    ///
    /// Only the descriptors named stay open in it, and signals that this process blocks or ignores have their
    /// usual effect there.
    /// - Parameters:
    ///   - input: its standard input; /dev/null when nil.
    ///   - extra: descriptors that it gets as 3, 4 and so on.
    ///   - newSession: sets it apart from the terminal and process group of this process.
    public static func spawn(
        _ arguments: [String], input: Int32? = nil, output: Int32, errors: Int32, extra: [Int32] = [],
        newSession: Bool = false
    ) throws(SystemError) -> Int32 {
        precondition(!arguments.isEmpty, "a command has at least a name")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        let others = [output, errors] + extra
        for (index, descriptor) in others.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(index + 1))
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, Int32(others.count + 1))
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        resetSignals(&attributes, newSession: newSession)
        var child = Int32()
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        let result = posix_spawnp(&child, arguments[0], &actions, &attributes, &vector, Glibc.environ)
        if result != 0 { throw SystemError(result, "posix_spawn", arguments[0]) }
        return child
    }

    private static func resetSignals(_ attributes: inout posix_spawnattr_t, newSession: Bool) {
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        var flags = Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
        if newSession { flags |= Int16(SLK_SPAWN_SETSID) }
        posix_spawnattr_setflags(&attributes, flags)
    }

    private final class Pipe {
        let reader: Int32
        private(set) var writer: Int32

        init() throws(SystemError) {
            var ends: [Int32] = [0, 0]
            if pipe2(&ends, O_CLOEXEC) < 0 { throw SystemError.last("pipe2", "pipe") }
            (reader, writer) = (ends[0], ends[1])
        }

        deinit {
            _ = closeWriter()
            close(reader)
        }

        func closeWriter() -> Bool {
            guard writer >= 0 else { return false }
            close(writer)
            writer = -1
            return true
        }
    }

    /// What both streams bring until their ends; nil when the deadline comes first.
    private static func drain(
        _ first: Int32, _ second: Int32, _ deadline: MonotonicTime?
    ) -> (String, String)? {
        var texts: [[UInt8]] = [[], []]
        var waiting = [
            pollfd(fd: first, events: Int16(POLLIN), revents: 0),
            pollfd(fd: second, events: Int16(POLLIN), revents: 0),
        ]
        var buffer = [UInt8](repeating: 0, count: 65536)
        while waiting.contains(where: { $0.fd >= 0 }) {
            let left = deadline.map { Int32(min(max(0, $0.seconds(since: .now)), 1e6) * 1000) + 1 } ?? -1
            if retrying({ poll(&waiting, 2, left) }) < 0 { break }
            if let deadline, MonotonicTime.now > deadline { return nil }
            for index in 0..<2 where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                let fd = waiting[index].fd
                let count = retrying { read(fd, &buffer, buffer.count) }
                if count <= 0 {
                    waiting[index].fd = -1
                } else if texts[index].count < outputLimitBytes {
                    texts[index].append(contentsOf: buffer[..<count])
                }
            }
        }
        return (String(decoding: texts[0], as: UTF8.self), String(decoding: texts[1], as: UTF8.self))
    }
}
