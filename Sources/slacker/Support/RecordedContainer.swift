// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Daemon
import Glibc
import HTTP
import Mounts

/// When a container counts as ready.
enum Readiness: Equatable {
    case line(String)
    case url(String)
    case seconds(Double)
    case exit
}

/// A container in the foreground whose output is passed on and looked at.
final class RecordedContainer {
    let runtime: Runtime
    let container: ContainerInfo
    private let interrupt = Interrupt()
    private var process: Int32 = -1
    private var status: Int32?
    private var streams: [Stream] = []
    /// What becomes of an address that is asked, on a thread of its own: it may hang.
    private var probe: Probe?

    fileprivate struct Stream {
        let reader: OwnedFDBox
        let target: Int32
        var line: [UInt8] = []
    }

    /// Bytes of a line that are looked at.
    fileprivate static let lineLimitBytes = 1 << 16

    init(runtime: Runtime, container: ContainerInfo) {
        self.runtime = runtime
        self.container = container
    }

    func start() throws(Failure) {
        do throws(SystemError) {
            let (output, errors) = (try Self.pipe(), try Self.pipe())
            process = try Subprocess.spawn(
                runtime.run(id: container.id, bundle: container.bundle), output: output.writer.raw,
                errors: errors.writer.raw)
            streams = [Stream(reader: output.reader, target: 1), Stream(reader: errors.reader, target: 2)]
        } catch {
            throw Failure(
                .unavailable, "\(runtime.path): cannot be run (\(error.reason)); install runc or crun")
        }
    }

    /// Returns once it is ready.
    func wait(until readiness: Readiness, timeoutSeconds: Double) throws {
        let start = MonotonicTime.now
        if case .url(let address) = readiness { probe = try Probe(address) }
        defer { probe?.stop() }
        while true {
            let hasSeenLine = pass(text(of: readiness))
            let hasEnded = hasEnded()
            let seconds = MonotonicTime.now.seconds(since: start)
            switch readiness {
            case .line where hasSeenLine: return
            case .url where probe?.hasAnswered == true: return
            case .seconds(let limit) where seconds >= limit || hasEnded: return
            case .exit where hasEnded: return
            default: break
            }
            if hasEnded {
                throw Failure(
                    .failed, "\(container.image): ended with status \(status ?? 0) before it was ready")
            }
            if seconds >= timeoutSeconds, readiness != .exit {
                throw Failure(
                    .failed, "\(container.image): not ready after \(Int(timeoutSeconds)) s; see --timeout")
            }
            if let signal = interrupt.received() { throw ExitStatus(code: 128 + signal) }
        }
    }

    /// Ends it without asking, and waits for the end.
    func stop() {
        guard process > 0 else { return }
        if status == nil {
            _ = try? Subprocess.run(runtime.kill(id: container.id, signal: "KILL"))
            let deadline = MonotonicTime.now.advanced(bySeconds: 10)
            while !hasEnded(), MonotonicTime.now < deadline { _ = pass(nil) }
            if status == nil { kill(process, SIGKILL) }
            _ = try? Subprocess.run(runtime.delete(id: container.id, force: true))
        }
        _ = pass(nil)
    }

    private func text(of readiness: Readiness) -> [UInt8]? {
        if case .line(let text) = readiness { Array(text.utf8) } else { nil }
    }

    private func hasEnded() -> Bool {
        if status != nil { return true }
        var raw: Int32 = 0
        guard waitpid(process, &raw, WNOHANG) == process else { return false }
        let signal = raw & 0x7f
        status = signal == 0 ? raw >> 8 & 0xff : 128 + signal
        return true
    }

    /// Passes on what has been printed, waiting a little for more; true when a line held the text.
    private func pass(_ text: [UInt8]?) -> Bool {
        var waiting = streams.map { pollfd(fd: $0.reader.raw, events: Int16(POLLIN), revents: 0) }
        guard !waiting.isEmpty, poll(&waiting, nfds_t(waiting.count), 20) > 0 else {
            if waiting.isEmpty { usleep(20_000) }
            return false
        }
        var hasSeen = false
        var ended: [Int] = []
        for index in waiting.indices where waiting[index].revents != 0 {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = retrying { read(waiting[index].fd, &buffer, buffer.count) }
            guard count > 0 else {
                ended.append(index)
                continue
            }
            Output.write(buffer[..<count], to: streams[index].target)
            if let text, streams[index].holds(text, in: buffer[..<count]) { hasSeen = true }
        }
        for index in ended.reversed() { streams.remove(at: index) }
        return hasSeen
    }

    private static func pipe() throws(SystemError) -> (reader: OwnedFDBox, writer: OwnedFDBox) {
        var ends: [Int32] = [0, 0]
        if pipe2(&ends, O_CLOEXEC) < 0 { throw SystemError.last("pipe2", "pipe") }
        return (OwnedFDBox(ends[0]), OwnedFDBox(ends[1]))
    }

    /// A descriptor that several hold.
    fileprivate final class OwnedFDBox {
        private let descriptor: OwnedFD
        var raw: Int32 { descriptor.raw }

        init(_ raw: Int32) {
            descriptor = OwnedFD(taking: raw)
        }
    }
}

extension RecordedContainer.Stream {
    /// Whether a line that is printed now holds the text, be it complete or not.
    fileprivate mutating func holds(_ text: [UInt8], in bytes: ArraySlice<UInt8>) -> Bool {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                line.removeAll(keepingCapacity: true)
            } else if line.count < RecordedContainer.lineLimitBytes {
                line.append(byte)
                if line.suffix(text.count).elementsEqual(text) { return true }
            }
        }
        return false
    }
}

/// Asks an address again and again until it answers with success.
private final class Probe: Sendable {
    private enum State {
        case asking, answered, stopped
    }

    private let state = Monitor(State.asking)

    init(_ address: String) throws {
        let state = state
        _ = try NamedThread("probe", stackBytes: 1 << 20, detached: true) {
            let request = Request("GET", address, connectTimeoutMs: 1000, totalTimeoutMs: 5000)
            while state.withLock({ $0 == .asking }) {
                if let session = try? Session(), let response = try? session.perform(request),
                    response.isSuccess
                {
                    state.withLock { if $0 == .asking { $0 = .answered } }
                    return
                }
                usleep(20_000)
            }
        }
    }

    var hasAnswered: Bool { state.withLock { $0 == .answered } }

    func stop() {
        state.withLock { if $0 == .asking { $0 = .stopped } }
    }
}
