// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program whose output is read from its start to its end, and the moments of its life that are measured.
///
/// One thread reads, so that the program never blocks on a full pipe; one waits for its end; one asks its
/// URL, if it is to have one. None of them waits for another, so each moment is taken when it happens.
final class WatchedProcess: Sendable {
    /// What has happened so far; times are nanoseconds of the monotonic clock.
    struct Life {
        var readyAt: Int64?
        var endedAt: Int64?
        var status: Int32?
        var outputHasEnded = false
        /// The text that an ending program is to have written has come.
        var hasSaidText = false
        var isAbandoned = false
        /// The last of what it printed.
        var tail: [UInt8] = []
    }

    let id: pid_t
    let startedAt: Int64
    private let ready: Ready
    private let life: Monitor<Life>

    /// Starts a program, in the calling thread's network namespace.
    ///
    /// - Parameter input: what it reads from standard input; nil for nothing.
    init(
        _ arguments: [String], input: String? = nil, ready: Ready = .exit(status: 0, output: nil)
    ) throws(BenchError) {
        self.ready = ready
        let life = Monitor(Life())
        self.life = life
        let begun = try Spawn.withPipes(arguments, input: input)
        startedAt = begun.startedAt
        id = begun.id
        let (id, output) = (begun.id, begun.output)
        pthread_detach(PlainThread.start { Self.read(output, ready, life) })
        pthread_detach(PlainThread.start { Self.awaitEnd(of: id, life) })
    }

    /// Asks for the URL of the ready condition, if it has one, in the calling thread's network namespace.
    func askURL() {
        guard case .url(let port, let path, let body) = ready else { return }
        Self.ask(URLProbe(port: UInt16(clamping: port), path: path, body: body), life)
    }

    /// How waiting for the ready condition ended.
    enum Outcome: Equatable {
        case ready(at: Int64)
        /// It ended, or its output did, and the condition can no longer come about.
        case failed(String)
        case timedOut
        case interrupted
    }

    func awaitReady(limitSeconds: Double) -> Outcome {
        let deadline = startedAt + Int64(limitSeconds * 1e9)
        while true {
            let look = min(deadline, Monotonic.after(0.05))
            if let outcome = life.wait(until: look, for: { self.outcome($0) }) { return outcome }
            if Interrupt.isRaised { return .interrupted }
            if Monotonic.now >= deadline { return .timedOut }
        }
    }

    /// Waits for the program's end.
    /// - Returns: when it ended, or nil if it has not by then.
    func awaitEnd(seconds: Double) -> Int64? {
        life.wait(until: Monotonic.after(seconds)) { $0.endedAt }
    }

    var hasEnded: Bool { life.use { $0.endedAt != nil } }

    /// Its last lines in one.
    var lastWords: String { life.use { Self.lastWords($0.tail) } }

    /// Ends the program if it still runs, its children too, and the threads that watch it.
    func abandon() {
        if !hasEnded {
            kill(-id, SIGTERM)
            if awaitEnd(seconds: 3) == nil {
                kill(-id, SIGKILL)
                _ = awaitEnd(seconds: 5)
            }
        }
        life.use { $0.isAbandoned = true }
    }

    private func outcome(_ life: Life) -> Outcome? {
        if let readyAt = life.readyAt { return .ready(at: readyAt) }
        let said = Self.lastWords(life.tail)
        let words = said.isEmpty ? "" : ": " + said
        guard let status = life.status else {
            guard case .line = ready, life.outputHasEnded else { return nil }
            return .failed("its output ended before it was ready\(words)")
        }
        guard case .exit(let wanted, let text) = ready else {
            // What it printed last may still be in the pipe.
            return life.outputHasEnded
                ? .failed("ended with status \(status) before it was ready\(words)") : nil
        }
        if status != wanted {
            return life.outputHasEnded ? .failed("ended with status \(status)\(words)") : nil
        }
        guard let text, !life.hasSaidText else { return life.endedAt.map { .ready(at: $0) } }
        return life.outputHasEnded ? .failed("ended without having written '\(text)'\(words)") : nil
    }

    private static func lastWords(_ tail: [UInt8]) -> String {
        let text = String(decoding: tail, as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; ")
    }
}

/// The threads.
extension WatchedProcess {
    private static let tailBytes = 4096

    private static func read(_ output: Int32, _ ready: Ready, _ life: Monitor<Life>) {
        defer { close(output) }
        let isLine = if case .line = ready { true } else { false }
        var matcher = LineMatcher(ready)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // Not a plain read: whoever inherited the pipe from the program may keep it open for ever.
            var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 100) == 0 {
                if life.use({ isOver($0) }) { break }
                continue
            }
            let count = Glibc.read(output, &buffer, buffer.count)
            let now = Monotonic.now
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            matcher?.take(buffer[..<count])
            let isSatisfied = matcher?.isSatisfied ?? false
            life.use {
                if isSatisfied { $0.hasSaidText = true }
                if isSatisfied, isLine, $0.readyAt == nil { $0.readyAt = now }
                $0.tail.append(contentsOf: buffer[..<count])
                if $0.tail.count > 2 * tailBytes { $0.tail.removeFirst($0.tail.count - tailBytes) }
            }
        }
        life.use { $0.outputHasEnded = true }
    }

    /// Nobody will write any more, as far as can be told while the pipe is open.
    private static func isOver(_ life: Life) -> Bool {
        life.isAbandoned || life.endedAt.map { Monotonic.now - $0 > 500_000_000 } ?? false
    }

    private static func awaitEnd(of id: pid_t, _ life: Monitor<Life>) {
        var raw: Int32 = 0
        while waitpid(id, &raw, 0) < 0, errno == EINTR {}
        let now = Monotonic.now
        life.use {
            $0.endedAt = now
            $0.status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
        }
    }

    /// Asks again and again; a refused connection costs a few microseconds.
    private static func ask(_ probe: URLProbe, _ life: Monitor<Life>) {
        pthread_detach(
            PlainThread.start {
                while true {
                    if probe.succeeds() {
                        let now = Monotonic.now
                        return life.use { $0.readyAt = now }
                    }
                    if life.use({ $0.isAbandoned || $0.endedAt != nil }) { return }
                    usleep(1000)
                }
            })
    }
}
