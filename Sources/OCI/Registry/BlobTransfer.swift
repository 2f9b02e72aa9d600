// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// One connection's share of a blob: the loop fills a bounded buffer, a thread empties it.
final class BlobTransfer: TransferReceiver {
    /// Why no more bytes come.
    enum End: Sendable {
        /// The response has ended as it should; it came from this address.
        case complete(String)
        case failed(HTTPError)
        /// An error of the server; its body is kept for its message.
        case status(Response)
        /// A response that does not fit the request.
        case wrong(String)
    }

    enum Piece {
        case bytes(Int)
        case end(End)
    }

    private struct State {
        var id: TransferID?
        var head: ResponseHead?
        /// Bytes of a whole response that were had before.
        var skipBytes: UInt64 = 0
        var leftBytes: UInt64
        var buffer: [UInt8] = []
        var taken = 0
        var isPaused = false
        var wrong: String?
        var end: End?

        var waiting: Int { buffer.count - taken }
    }

    /// Bytes that wait for their reader at most.
    private static let bufferBytes = 1 << 20
    private static let messageBytes = 64 << 10

    private let loop: TransferLoop
    private let position: UInt64
    private let sizeBytes: UInt64
    private let state: Monitor<State>

    /// - Parameter position: where in the blob the bytes begin.
    init(_ loop: TransferLoop, position: UInt64, sizeBytes: UInt64) {
        precondition(position < sizeBytes)
        self.loop = loop
        self.position = position
        self.sizeBytes = sizeBytes
        state = Monitor(State(leftBytes: sizeBytes - position))
    }

    func start(_ request: Request, _ options: TransferOptions) {
        let id = loop.start(request, options, to: self)
        state.withLock { $0.id = id }
    }

    func cancel() {
        let id = state.withLock { $0.end == nil ? $0.id : nil }
        if let id { loop.cancel(id) }
    }

    /// Bytes that have come and have not been read.
    var waitingBytes: Int { state.withLock { $0.waiting } }

    /// Waits for bytes; bytes that have come are given before the end is.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Piece {
        let (piece, resumed) = state.wait { current -> (Piece, TransferID?)? in
            let isBody = current.head.map(\.isSuccess) ?? false
            if isBody, current.waiting > 0, current.wrong == nil {
                let count = min(buffer.count, current.waiting)
                let part = current.buffer[current.taken..<current.taken + count]
                buffer.copyBytes(from: part)
                current.taken += count
                let resumes = current.isPaused && current.waiting <= Self.bufferBytes / 2
                if resumes { current.isPaused = false }
                return (.bytes(count), resumes ? current.id : nil)
            }
            return current.end.map { (.end($0), nil) }
        }
        if let resumed { loop.resume(resumed) }
        return piece
    }

    // MARK: - On the loop's thread

    func begin(_ head: ResponseHead) -> Bool {
        state.withLock { current in
            current.head = head
            if !head.isSuccess { return true }
            if head.status == 206 {
                guard let (range, total) = head.contentRange, range.lowerBound == position,
                    total.map({ $0 == sizeBytes }) ?? true
                else {
                    let told = head.header("content-range") ?? "nothing"
                    current.wrong =
                        "asked for bytes from \(position) of \(sizeBytes) it gives \(printable(told))"
                    return false
                }
            } else if head.status == 200 {
                // The server knows no ranges; what was had before passes by.
                current.skipBytes = position
                if let text = head.header("content-length"), let length = UInt64(text), length != sizeBytes {
                    current.wrong = "it has \(length) bytes where \(sizeBytes) are announced"
                    return false
                }
            } else {
                current.wrong = "it answers with status \(head.status)"
                return false
            }
            return true
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow {
        state.withLock { current in
            guard current.head?.isSuccess == true else {
                current.buffer.append(
                    contentsOf: bytes.prefix(Self.messageBytes - min(current.waiting, Self.messageBytes)))
                return .proceed
            }
            if current.waiting >= Self.bufferBytes {
                current.isPaused = true
                return .pause
            }
            let skipped = Int(min(UInt64(bytes.count), current.skipBytes))
            let count = UInt64(bytes.count - skipped)
            current.skipBytes -= UInt64(skipped)
            if count > current.leftBytes {
                current.wrong = "it has more than the \(sizeBytes) bytes that are announced"
                return .stop
            }
            current.leftBytes -= count
            if current.taken > 0, current.taken == current.buffer.count || current.taken >= Self.bufferBytes {
                current.buffer.removeFirst(current.taken)
                current.taken = 0
            }
            current.buffer.append(contentsOf: bytes[skipped...])
            return .proceed
        }
    }

    func finish(_ result: Result<TransferSummary, HTTPError>) {
        state.withLock { current in
            current.id = nil
            current.end =
                if let wrong = current.wrong {
                    .wrong(wrong)
                } else {
                    switch result {
                    case .failure(let error): .failed(error)
                    case .success(let summary) where summary.head.isSuccess:
                        .complete(summary.head.effectiveURL)
                    case .success(let summary):
                        .status(
                            Response(
                                status: summary.head.status, headers: summary.head.headers,
                                body: current.buffer))
                    }
                }
        }
    }
}
