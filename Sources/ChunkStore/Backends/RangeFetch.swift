// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// One range on its way from an HTTP source to its receiver.
final class RangeFetch: TransferReceiver, FetchCancellation {
    private struct State {
        /// The transfer under way; nil before it begins and between two attempts.
        var transfer: TransferID?
        var isCancelled = false
        /// `resume` came while the transfer had no name yet.
        var mustResume = false
    }

    /// Touched only by the one thread that works on the fetch at a time: worker, then loop.
    private struct Progress: @unchecked Sendable {
        // Unchecked because: see above; the loop's mailbox and the worker's queue order the hand-overs.
        var attempts = 0
        /// Where in the object the body begins; nil when the body is not wanted.
        var bodyStart: UInt64?
        /// Bytes of the body that are done with.
        var position: UInt64 = 0
        var delivered: UInt64 = 0
        var failure: SourceFailure?
        var head: ResponseHead?
        var errorBody: [UInt8] = []
    }

    /// A server that ignores ranges sends the object from its beginning: so much of it is skipped at most.
    private static let maximumSkipBytes: UInt64 = 1 << 20
    private static let maximumErrorBytes = 4096

    private let object: ObjectName
    private let sizeBytes: UInt64
    private let range: Range<UInt64>
    private let group: TransferGroup
    private let receiver: any RangeReceiver
    private let loop: TransferLoop
    private let provider: any HTTPRequestProvider
    private let worker: SerialWorker
    private let state = Lock(State())
    private nonisolated(unsafe) var progress = Progress()

    init(
        object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, group: TransferGroup,
        receiver: any RangeReceiver, loop: TransferLoop, provider: any HTTPRequestProvider,
        worker: SerialWorker
    ) {
        self.object = object
        self.sizeBytes = sizeBytes
        self.range = range
        self.group = group
        self.receiver = receiver
        self.loop = loop
        self.provider = provider
        self.worker = worker
    }

    // MARK: the worker's thread

    /// Asks for the range, again when the last attempt was refused.
    func begin(refusedStatus: Int?) {
        worker.run { [self] in
            if let refusedStatus { provider.rejected(object, status: refusedStatus) }
            if state.withLock({ $0.isCancelled }) { return receiver.finish(.cancelled) }
            do throws(SourceFailure) {
                let (request, options) = try provider.request(for: object)
                start(request, options)
            } catch {
                receiver.finish(error)
            }
        }
    }

    private func start(_ request: Request, _ options: TransferOptions) {
        var options = options
        options.group = group
        options.range = range
        progress = Progress(attempts: progress.attempts + 1)
        let id = loop.start(request, options, to: self)
        let (isCancelled, mustResume) = state.withLock { state in
            state.transfer = id
            defer { state.mustResume = false }
            return (state.isCancelled, state.mustResume)
        }
        if isCancelled { loop.cancel(id) }
        if mustResume { loop.resume(id) }
    }

    // MARK: any thread

    func cancel() {
        let transfer = state.withLock { state in
            state.isCancelled = true
            return state.transfer
        }
        if let transfer { loop.cancel(transfer) }
    }

    func resume() {
        let transfer = state.withLock { state in
            if state.transfer == nil { state.mustResume = true }
            return state.transfer
        }
        if let transfer { loop.resume(transfer) }
    }

    // MARK: the loop's thread

    func begin(_ head: ResponseHead) -> Bool {
        progress.head = head
        switch head.status {
        case 206: progress.failure = checkPart(head)
        case 200: progress.failure = checkWhole(head)
        default: return true
        }
        return progress.failure == nil
    }

    private func checkPart(_ head: ResponseHead) -> SourceFailure? {
        if let failure = checkCoding(head) { return failure }
        guard let (sent, total) = head.contentRange else {
            return .invalid("\(object): a partial answer that does not say which part it is")
        }
        if sent != range {
            return .invalid("\(object): asked for bytes \(range), got \(sent)")
        }
        if let total, total != sizeBytes {
            return .invalid("\(object): has \(total) bytes, not \(sizeBytes)")
        }
        progress.bodyStart = range.lowerBound
        return nil
    }

    private func checkWhole(_ head: ResponseHead) -> SourceFailure? {
        if let failure = checkCoding(head) { return failure }
        if let length = head.header("content-length").flatMap({ UInt64($0) }), length != sizeBytes {
            return .invalid("\(object): has \(length) bytes, not \(sizeBytes)")
        }
        if range.lowerBound > Self.maximumSkipBytes {
            return .invalid("\(object): the server ignores ranges")
        }
        progress.bodyStart = 0
        return nil
    }

    private func checkCoding(_ head: ResponseHead) -> SourceFailure? {
        guard let coding = head.header("content-encoding"), coding.lowercased() != "identity" else {
            return nil
        }
        return .invalid("\(object): sent in the coding \(coding.prefix(32)), which was not asked for")
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow {
        guard let bodyStart = progress.bodyStart else { return keepError(bytes) }
        let begin = bodyStart + progress.position
        let end = begin + UInt64(bytes.count)
        let wanted = max(begin, range.lowerBound)..<max(begin, range.lowerBound, min(end, range.upperBound))
        if !wanted.isEmpty {
            let first = Int(wanted.lowerBound - begin)
            let part = UnsafeRawBufferPointer(rebasing: bytes[first..<first + wanted.count])
            switch receiver.receive(part) {
            case .pause: return .pause
            case .stop:
                progress.failure = .cancelled
                return .stop
            case .proceed: progress.delivered += UInt64(wanted.count)
            }
        }
        progress.position += UInt64(bytes.count)
        // What is behind the range of a whole object is not waited for.
        return end > range.upperBound ? .stop : .proceed
    }

    private func keepError(_ bytes: UnsafeRawBufferPointer) -> TransferFlow {
        let room = Self.maximumErrorBytes - progress.errorBody.count
        progress.errorBody.append(contentsOf: bytes.prefix(max(0, room)))
        return .proceed
    }

    func finish(_ result: Result<TransferSummary, HTTPError>) {
        let isCancelled = state.withLock { state in
            state.transfer = nil
            return state.isCancelled
        }
        if progress.bodyStart != nil, progress.delivered == UInt64(range.count) {
            return receiver.finish(nil)
        }
        if isCancelled { return receiver.finish(.cancelled) }
        if let failure = progress.failure { return fail(failure) }
        switch result {
        case .failure(let error): fail(SourceFailure(error))
        case .success(let summary):
            let status = summary.head.status
            if status == 401 || status == 403, progress.attempts == 1 { return begin(refusedStatus: status) }
            fail(
                progress.bodyStart == nil
                    ? SourceFailure(summary.head, progress.errorBody, "\(object)")
                    : .invalid("\(object): \(progress.delivered) bytes in place of \(range.count)"))
        }
    }

    /// The provider hears of it first, so that another try may go to another server.
    private func fail(_ failure: SourceFailure) {
        if failure == .cancelled { return receiver.finish(failure) }
        let status = progress.head?.status ?? 0
        worker.run { [self] in
            provider.rejected(object, status: status)
            receiver.finish(failure)
        }
    }
}
