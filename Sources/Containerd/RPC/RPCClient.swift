// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Makes calls of gRPC over a unix socket; each blocks its thread.
final class RPCClient: Sendable {
    private struct State {
        /// Streams whose answer somebody waits for, by the number of the call.
        var streams: [Int32: Int] = [:]
        var results: [Int: Result<[[UInt8]], RPCStatus>] = [:]
        var next = 0
        var hasEnded = false
    }

    private let path: String
    private let connection: HTTP2Connection
    private let state = Monitor(State())

    /// Errors: what connect(2) says.
    init(path: String) throws(SystemError) {
        self.path = path
        if path.utf8.count > UnixSocket.pathLimit { throw SystemError(ENAMETOOLONG, "connect", path) }
        let socket = try UnixSocket.make()
        if UnixSocket.withAddress(path, { connect(socket.raw, $0, $1) < 0 }) {
            throw SystemError.last("connect", path)
        }
        connection = try HTTP2Connection(socket)
        _ = try NamedThread("rpc-client", detached: true) { [connection, state] in
            connection.run(isServer: false) { event, _ in Self.take(event, state) }
            state.withLock { $0.hasEnded = true }
        }
    }

    deinit { connection.close() }

    /// - Parameters:
    ///   - method: the full name, `/package.Service/Method`.
    ///   - seconds: after them the call fails.
    /// - Returns: the messages of the answer.
    func call(
        _ method: String, _ message: [UInt8], metadata: [String: String] = [:], seconds: Double = 60
    ) throws(RPCStatus) -> [[UInt8]] {
        try wait(for: begin(method, message, metadata), seconds: seconds)
    }

    /// The answer of a call that was begun.
    func wait(for number: Int, seconds: Double = 60) throws(RPCStatus) -> [[UInt8]] {
        let limit = MonotonicTime.now.advanced(bySeconds: seconds)
        let result = state.wait(until: limit) { state -> Result<[[UInt8]], RPCStatus>? in
            if let result = state.results.removeValue(forKey: number) { return result }
            return state.hasEnded ? .failure(RPCStatus(.unavailable, "the connection has ended")) : nil
        }
        guard let result else {
            cancel(number)
            throw RPCStatus(.deadlineExceeded, "no answer in \(seconds) s")
        }
        return try result.get()
    }

    /// Begins a call; its result is to be waited for, or the call to be cancelled.
    func begin(_ method: String, _ message: [UInt8], _ metadata: [String: String]) -> Int {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        var headers: HTTP2Session.Headers = [
            (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost"),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { headers.append((name, value)) }
        connection.submit { [state, headers] session in
            let stream = session.request(headers, body: RPCBody.encode([message]))
            state.withLock { state in
                if let stream {
                    state.streams[stream] = number
                } else {
                    state.results[number] = .failure(
                        RPCStatus(.unavailable, "the connection takes no more calls"))
                }
            }
        }
        return number
    }

    /// Wants no answer any more.
    func cancel(_ number: Int) {
        connection.submit { [state] session in
            let stream = state.withLock { state in
                state.results[number] = nil
                return state.streams.first { $0.value == number }?.key
            }
            if let stream { session.cancel(stream) }
        }
    }

    private static func take(_ event: HTTP2Session.Event, _ state: Monitor<State>) {
        state.withLock { state in
            switch event {
            case .complete(let stream, let answer):
                guard let number = state.streams.removeValue(forKey: stream) else { return }
                state.results[number] = result(answer)
            case .closed(let stream):
                guard let number = state.streams.removeValue(forKey: stream) else { return }
                state.results[number] = .failure(RPCStatus(.unavailable, "the call was broken off"))
            }
        }
    }

    private static func result(_ answer: HTTP2Session.Incoming) -> Result<[[UInt8]], RPCStatus> {
        Result { () throws(RPCStatus) in
            guard let text = answer["grpc-status"], let number = Int(text) else {
                throw RPCStatus(.unavailable, "not an answer of gRPC")
            }
            if number != 0 {
                let message = RPCStatus.decoded(answer["grpc-message"] ?? "")
                throw RPCStatus(RPCStatus.Code(rawValue: number) ?? .unknown, message)
            }
            return try RPCBody.decode(answer.body).map { Array($0) }
        }
    }
}
