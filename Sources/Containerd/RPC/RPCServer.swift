// SPDX-License-Identifier: Apache-2.0

import Base
import CNghttp2
import Glibc

/// A call that a client has made, for as long as it is worked on.
final class RPCCall: Sendable {
    private let state = Lock(false)

    /// The client has gone, or wants no answer any more.
    var isCancelled: Bool { state.withLock { $0 } }

    func cancel() { state.withLock { $0 = true } }
}

/// Serves gRPC on a unix socket: calls of one message, answers of any number.
///
/// Each connection has a thread, and each call another one: calls are few, and their work blocks.
final class RPCServer: Sendable {
    /// Does a call: the method's full name, the message, the messages that answer it.
    typealias Handler = @Sendable (String, ArraySlice<UInt8>, RPCCall) throws(RPCStatus) -> [[UInt8]]

    private struct State {
        var connections: [Int: HTTP2Connection] = [:]
        var next = 0
        var calls = 0
        var isStopping = false
    }

    private static let maximumConnections = 256

    private let path: String
    private let listener: OwnedFD
    private let handler: Handler
    private let state = Monitor(State())

    /// Listens, and takes calls when it returns.
    ///
    /// What lies at the path goes.
    init(path: String, handler: @escaping Handler) throws(SystemError) {
        self.path = path
        self.handler = handler
        listener = try UnixSocket.make()
        unlink(path)
        let failed = UnixSocket.withAddress(path) { bind(listener.raw, $0, $1) < 0 }
        if failed || chmod(path, 0o600) < 0 || listen(listener.raw, 128) < 0 {
            throw SystemError.last("bind", path)
        }
        _ = try NamedThread("rpc-accept", detached: true) { [self] in accept() }
    }

    /// Takes no more calls, and waits a little for those under way.
    func stop(seconds: Double) {
        state.withLock { $0.isStopping = true }
        unlink(path)
        shutdown(listener.raw, Int32(SHUT_RDWR))
        let limit = MonotonicTime.now.advanced(bySeconds: seconds)
        _ = state.wait(until: limit) { $0.calls == 0 ? true : nil }
        for connection in state.withLock({ Array($0.connections.values) }) { connection.close() }
    }

    private func accept() {
        while true {
            let raw = retrying { slk_accept(listener.raw) }
            if state.withLock({ $0.isStopping }) {
                if raw >= 0 { close(raw) }
                return
            }
            if raw < 0 {
                // Too many files, as a rule: others may go meanwhile.
                usleep(50_000)
                continue
            }
            take(OwnedFD(taking: raw))
        }
    }

    private func take(_ socket: consuming OwnedFD) {
        guard state.withLock({ $0.connections.count < Self.maximumConnections }),
            let connection = try? HTTP2Connection(socket)
        else { return }
        let number = state.withLock { state in
            state.next += 1
            state.connections[state.next] = connection
            return state.next
        }
        let thread = try? NamedThread("rpc", detached: true) { [self] in
            serve(connection)
            state.withLock { $0.connections[number] = nil }
        }
        if thread == nil { state.withLock { $0.connections[number] = nil } }
    }

    // MARK: A connection's thread

    private func serve(_ connection: HTTP2Connection) {
        var calls: [Int32: RPCCall] = [:]
        connection.run(isServer: true) { event, session in
            switch event {
            case .complete(let stream, let request):
                let call = RPCCall()
                calls[stream] = call
                begin(stream, request, call, connection, session)
            case .closed(let stream): calls.removeValue(forKey: stream)?.cancel()
            }
        }
        for call in calls.values { call.cancel() }
    }

    private func begin(
        _ stream: Int32, _ request: HTTP2Session.Incoming, _ call: RPCCall, _ connection: HTTP2Connection,
        _ session: HTTP2Session
    ) {
        if state.withLock({ $0.isStopping }) {
            return Self.answer(stream, .failure(RPCStatus(.unavailable, "the daemon is ending")), session)
        }
        state.withLock { $0.calls += 1 }
        let thread = try? NamedThread("rpc-call", stackBytes: 2 << 20, detached: true) { [self] in
            let result = perform(request, call)
            connection.submit { Self.answer(stream, result, $0) }
            state.withLock { $0.calls -= 1 }
        }
        if thread == nil {
            state.withLock { $0.calls -= 1 }
            Self.answer(stream, .failure(RPCStatus(.resourceExhausted, "no thread for the call")), session)
        }
    }

    private func perform(_ request: HTTP2Session.Incoming, _ call: RPCCall) -> Result<[[UInt8]], RPCStatus> {
        Result { () throws(RPCStatus) in
            guard request[":method"] == "POST", let path = request[":path"],
                request["content-type"]?.hasPrefix("application/grpc") == true
            else { throw RPCStatus(.unimplemented, "not a call of gRPC") }
            let messages = try RPCBody.decode(request.body)
            guard messages.count == 1, let message = messages.first else {
                throw RPCStatus(.unimplemented, "\(path): a call has one message")
            }
            return try handler(path, message, call)
        }
    }

    private static func answer(
        _ stream: Int32, _ result: Result<[[UInt8]], RPCStatus>, _ session: HTTP2Session
    ) {
        let headers = [(name: ":status", value: "200"), (name: "content-type", value: "application/grpc")]
        switch result {
        case .success(let messages):
            session.respond(
                stream, headers, body: RPCBody.encode(messages),
                trailers: [(name: "grpc-status", value: "0")])
        case .failure(let status):
            let fields = [
                (name: "grpc-status", value: "\(status.code.rawValue)"),
                (name: "grpc-message", value: RPCStatus.encoded(status.message)),
            ]
            session.respond(stream, headers + fields, body: [], trailers: [])
        }
    }
}
