// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// The daemon's side of an `InternalRequest`: a child process of this program that does one thing at a time.
///
/// Blocks the calling thread, which must be a plain one. Every wait has a limit, after which the child is
/// killed: whatever happens to a mount, the daemon itself goes on. A child that has answered waits for the
/// next request, since its start takes longer than most of them; it ends with its standard input, so with
/// the daemon.
final class Child {
    private let process: Int32
    /// Write end of the child's standard input; -1 once closed.
    private var input: Int32
    /// Read end of its standard output.
    private let output: Int32
    private var buffered: [UInt8] = []
    private var isReaped = false
    /// Nothing is under way: the next request may be anybody's.
    private var isIdle = true

    /// Seconds that one action may take.
    ///
    /// A flush at unmount is the longest of them.
    static let limitSeconds = 120.0

    /// Does a request from start to end.
    @discardableResult
    static func run(_ request: InternalRequest) throws(Failure) -> InternalAnswer {
        try take().run(request)
    }

    /// A child that waits for a request; one is started when none does.
    static func take() throws(Failure) -> Child {
        while let spawned = ChildPool.take() {
            let child = Child(spawned)
            if child.isWaiting { return child }
            child.isIdle = false
        }
        do throws(SystemError) { return Child(try spawn()) } catch { throw Failure(error) }
    }

    private init(_ spawned: Spawned) {
        (process, input, output) = (spawned.process, spawned.input, spawned.output)
    }

    /// Does a request from its start to its end.
    func run(_ request: InternalRequest) throws(Failure) -> InternalAnswer {
        try send(request)
        let line = try readLine(until: .now.advanced(bySeconds: Self.limitSeconds))
        isIdle = buffered.isEmpty
        return try Self.decode(line)
    }

    /// Sends a request that lasts until `closeInput`.
    func begin(_ request: InternalRequest) throws(Failure) {
        try send(request)
    }

    /// It has neither ended nor said anything that nobody asked for.
    private var isWaiting: Bool {
        var state = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        return retrying { poll(&state, 1, 0) } == 0
    }

    private func send(_ request: InternalRequest) throws(Failure) {
        isIdle = false
        Self.write(try JSON.encode(request) + [UInt8(ascii: "\n")], to: input)
    }

    deinit {
        if isIdle, ChildPool.giveBack(Spawned(process: process, input: input, output: output)) { return }
        closeInput()
        if !isReaped {
            kill(process, SIGKILL)
            reap()
        }
        close(output)
    }

    /// Lets a child that holds something go on, and tells others that their request is complete.
    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// The next answer that the child prints.
    func answer(limitSeconds: Double = limitSeconds) throws(Failure) -> InternalAnswer {
        try Self.decode(try readLine(until: .now.advanced(bySeconds: limitSeconds)))
    }

    private static func decode(_ line: [UInt8]) throws(Failure) -> InternalAnswer {
        let answer = try JSON.decode(InternalAnswer.self, line)
        if let failure = answer.failure { throw failure }
        return answer
    }

    /// Waits for the last answer and the end of the child.
    func finish() throws(Failure) -> InternalAnswer {
        let answer = try answer()
        closeInput()
        reap()
        return answer
    }

    private func readLine(until deadline: MonotonicTime) throws(Failure) -> [UInt8] {
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffered[..<end])
                buffered.removeFirst(end + 1)
                return line
            }
            var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            let milliseconds = max(0, deadline.seconds(since: .now) * 1000)
            let ready = retrying { poll(&waiting, 1, Int32(milliseconds)) }
            if ready == 0 {
                throw Failure(.failed, "slacker internal: no answer in time; see the daemon's log")
            }
            var piece = [UInt8](repeating: 0, count: 65536)
            let count = retrying { read(output, &piece, piece.count) }
            if count <= 0 {
                throw Failure(.failed, "slacker internal: ended without an answer; see the daemon's log")
            }
            buffered.append(contentsOf: piece[..<count])
        }
    }

    private func reap() {
        if isReaped { return }
        isReaped = true
        _ = try? Subprocess.wait(for: process, "slacker internal")
    }

    struct Spawned: Sendable {
        let process: Int32
        let input: Int32
        let output: Int32
    }

    private static func spawn() throws(SystemError) -> Spawned {
        let request = try pipe()
        let answer = try pipe()
        let process = try Subprocess.spawn(
            ["/proc/self/exe", "internal"], input: request.reader.raw, output: answer.writer.raw, errors: 2)
        return Spawned(process: process, input: request.writer.release(), output: answer.reader.release())
    }

    private struct Pipe: ~Copyable {
        var reader: OwnedFD
        var writer: OwnedFD
    }

    private static func pipe() throws(SystemError) -> Pipe {
        var ends: [Int32] = [0, 0]
        if pipe2(&ends, O_CLOEXEC) < 0 { throw SystemError.last("pipe2", "pipe") }
        return Pipe(reader: OwnedFD(taking: ends[0]), writer: OwnedFD(taking: ends[1]))
    }

    /// A child that is gone shows when its answer is read; SIGPIPE is ignored in the daemon.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { part in
                retrying { Glibc.write(descriptor, part.baseAddress, part.count) }
            }
            if count < 0 { return }
            done += count
        }
    }
}
