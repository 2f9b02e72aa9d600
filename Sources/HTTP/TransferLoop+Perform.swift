// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

extension TransferLoop {
    /// Makes one request and waits for the response; never on the loop's own thread.
    /// - Parameter onBody: takes the body of a successful response piece by piece, on the calling thread
    ///   and not kept; false stops the transfer with `.stopped`, as an error thrown stops it with that
    ///   error. The body of an error response is kept, for its message.
    public func perform(
        _ request: Request, _ options: TransferOptions = .init(),
        onBody: ((UnsafeRawBufferPointer) throws(HTTPError) -> Bool)? = nil
    ) throws(HTTPError) -> Response {
        precondition(!isOwnThread, "a transfer cannot be waited for on the thread that makes it")
        let waiter = ResponseWaiter(
            loop: self, name: redactedURL(request.url),
            limitBytes: onBody == nil ? request.responseLimitBytes : 1 << 20, streams: onBody != nil)
        waiter.start(request, options)
        if let onBody {
            var piece: [UInt8] = []
            while waiter.next(&piece) {
                do throws(HTTPError) {
                    if try !Self.deliver(piece, to: onBody) { throw .stopped(redactedURL(request.url)) }
                } catch {
                    waiter.abandon()
                    throw error
                }
            }
        }
        return try waiter.response()
    }

    private static func deliver(
        _ piece: [UInt8], to onBody: (UnsafeRawBufferPointer) throws(HTTPError) -> Bool
    ) throws(HTTPError) -> Bool {
        var failure: HTTPError?
        let more = piece.withUnsafeBytes { bytes in
            do throws(HTTPError) { return try onBody(bytes) } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        return more
    }
}

/// Stands between the loop and a thread that waits: a bounded buffer of what has arrived.
private final class ResponseWaiter: TransferReceiver {
    private struct State {
        var id: TransferID?
        var head: ResponseHead?
        var buffer: [UInt8] = []
        var isPaused = false
        var isAbandoned = false
        var isTooLong = false
        var result: Result<TransferSummary, HTTPError>?
    }

    /// Bytes that may wait for the reader: enough for it to fetch its next piece while the loop goes on.
    private static let bufferBytes = 1 << 20

    private let state = Monitor(State())
    private let loop: TransferLoop
    private let name: String
    private let limitBytes: Int
    private let streams: Bool

    init(loop: TransferLoop, name: String, limitBytes: Int, streams: Bool) {
        self.loop = loop
        self.name = name
        self.limitBytes = limitBytes
        self.streams = streams
    }

    func start(_ request: Request, _ options: TransferOptions) {
        let id = loop.start(request, options, streams: streams, to: self)
        state.withLock { $0.id = id }
    }

    func begin(_ head: ResponseHead) -> Bool {
        state.withLock {
            $0.head = head
            if !streams, head.isSuccess, let length = head.header("content-length").flatMap({ Int($0) }),
                length <= limitBytes
            {
                $0.buffer.reserveCapacity(length)
            }
            return !$0.isAbandoned
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow {
        state.withLock {
            if $0.isAbandoned { return .stop }
            if streams, $0.head?.isSuccess == true {
                if $0.buffer.count >= Self.bufferBytes {
                    $0.isPaused = true
                    return .pause
                }
            } else if $0.buffer.count + bytes.count > limitBytes {
                $0.isTooLong = true
                return .stop
            }
            $0.buffer.append(contentsOf: bytes)
            return .proceed
        }
    }

    func finish(_ result: Result<TransferSummary, HTTPError>) {
        state.withLock { $0.result = result }
    }

    /// Puts the next part of a successful response's body in place of the one that the reader is done
    /// with; false at its end, or when the response is not successful.
    func next(_ piece: inout [UInt8]) -> Bool {
        piece.removeAll(keepingCapacity: true)
        let (found, paused) = state.wait { state -> (Bool, TransferID?)? in
            if state.head?.isSuccess == true, !state.buffer.isEmpty {
                swap(&piece, &state.buffer)
                let paused = state.isPaused ? state.id : nil
                state.isPaused = false
                return (true, paused)
            }
            return state.result == nil ? nil : (false, nil)
        }
        if let paused { loop.resume(paused) }
        return found
    }

    /// The reader goes away; what still arrives is dropped.
    func abandon() {
        let id = state.withLock {
            $0.isAbandoned = true
            return $0.id
        }
        if let id { loop.cancel(id) }
    }

    func response() throws(HTTPError) -> Response {
        let (result, body, isTooLong) = state.wait { state in
            state.result.map { ($0, state.buffer, state.isTooLong) }
        }
        switch result {
        case .success(let summary):
            return Response(status: summary.head.status, headers: summary.head.headers, body: body)
        case .failure(.stopped) where isTooLong: throw .bodyTooLong(name, limitBytes: limitBytes)
        case .failure(let error): throw error
        }
    }
}
