// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// One range of a file on its way to its receiver.
final class FileFetch: FetchCancellation {
    private enum Phase {
        /// In the queue, or in the hands of a thread that reads and may never come back.
        case reading
        /// The receiver is being called; only that thread may finish.
        case delivering
        /// The receiver asked for a pause.
        case parked
        case finished
    }

    private struct State {
        var phase = Phase.reading
        var isCancelled = false
        /// `resume` came while the receiver was still saying `.pause`.
        var mustResume = false
        var position: UInt64
    }

    static let pieceBytes = 512 << 10

    let `class`: FetchClass
    private let path: String
    private let sizeBytes: UInt64
    private let range: Range<UInt64>
    private let receiver: any RangeReceiver
    private let queue: Monitor<DirectoryPackSource.Queue>
    private let state: Lock<State>

    init(
        path: String, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        receiver: any RangeReceiver, queue: Monitor<DirectoryPackSource.Queue>
    ) {
        self.path = path
        self.sizeBytes = sizeBytes
        self.range = range
        self.class = `class`
        self.receiver = receiver
        self.queue = queue
        state = Lock(State(position: range.lowerBound))
    }

    // MARK: a reader's thread

    /// Reads and delivers until the range is done, the receiver wants a pause, or nobody wants it any more.
    func run(_ buffer: UnsafeMutableRawBufferPointer) {
        do throws(SystemError) {
            let file = try File(open: path, O_RDONLY)
            let size = try file.size()
            if size != sizeBytes { return fail(.invalid("\(path): has \(size) bytes, not \(sizeBytes)")) }
            while let position = next() {
                let count = Int(min(UInt64(buffer.count), range.upperBound - position))
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                if try file.read(into: part, at: position) != count {
                    return fail(.invalid("\(path): ends before byte \(position + UInt64(count))"))
                }
                if !deliver(UnsafeRawBufferPointer(part)) { return }
            }
        } catch {
            fail(Self.failure(error))
        }
    }

    /// Where to read on; nil when the fetch has finished meanwhile.
    private func next() -> UInt64? {
        state.withLock { $0.phase == .finished ? nil : $0.position }
    }

    /// False when there is nothing more to do at the moment.
    private func deliver(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let isWanted = state.withLock { state in
            if state.phase == .finished { return false }
            state.phase = .delivering
            return true
        }
        if !isWanted { return false }
        let flow = receiver.receive(bytes)
        let (ended, failure) = state.withLock { settle(flow, bytes.count, &$0) }
        switch ended {
        case .finished: receiver.finish(failure)
        case .reading: return true
        case .parked, .delivering: break
        }
        return false
    }

    private func settle(_ flow: RangeFlow, _ count: Int, _ state: inout State) -> (Phase, SourceFailure?) {
        defer { state.mustResume = false }
        if case .proceed = flow { state.position += UInt64(count) }
        if state.position == range.upperBound {
            state.phase = .finished
            return (.finished, nil)
        }
        switch flow {
        case .stop: state.phase = .finished
        case _ where state.isCancelled: state.phase = .finished
        case .proceed: state.phase = .reading
        case .pause: state.phase = state.mustResume ? .reading : .parked
        }
        return (state.phase, .cancelled)
    }

    /// Ends the fetch unless somebody else has.
    func fail(_ failure: SourceFailure) {
        let isFirst = state.withLock { state in
            defer { state.phase = .finished }
            return state.phase != .finished
        }
        if isFirst { receiver.finish(failure) }
    }

    private static func failure(_ error: SystemError) -> SourceFailure {
        switch error.code {
        case ENOENT, ENOTDIR: .missing("\(error)")
        case EACCES, EPERM: .denied("\(error)")
        case ETIMEDOUT: .timedOut("\(error)")
        default: .unavailable("\(error)", retryAfterMs: nil)
        }
    }

    // MARK: any thread

    /// Does not wait for a thread that hangs in the kernel: what that one reads is dropped.
    func cancel() {
        let mustFinish = state.withLock { state in
            if state.phase == .finished || state.isCancelled { return false }
            state.isCancelled = true
            if state.phase == .delivering { return false }
            state.phase = .finished
            return true
        }
        if !mustFinish { return }
        queue.withLock { $0.waiting[Int(self.class.rawValue)].removeAll { $0 === self } }
        // Not on the caller's thread, which may hold locks that the receiver wants.
        let receiver = receiver
        if (try? NamedThread("pack-cancel", detached: true) { receiver.finish(.cancelled) }) == nil {
            receiver.finish(.cancelled)
        }
    }

    func resume() {
        let isParked = state.withLock { state in
            if state.phase == .delivering { state.mustResume = true }
            guard state.phase == .parked else { return false }
            state.phase = .reading
            return true
        }
        if isParked { DirectoryPackSource.enqueue(self, queue) }
    }
}
