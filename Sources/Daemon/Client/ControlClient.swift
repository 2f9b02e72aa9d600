// SPDX-License-Identifier: Apache-2.0

import HTTP

/// Speaks the control API over the daemon's unix socket, for one thread.
///
/// Errors are `Failure`s with one line of text.
public final class ControlClient {
    /// Names the state directory that the client means.
    static let rootHeader = "X-Slacker-Root"

    private let places: Places
    private let session: SocketSession
    private let headers: [(name: String, value: String)]
    /// Called when nobody listens; then the request is made again.
    private let startDaemon: (() throws(Failure) -> Void)?

    /// - Parameters:
    ///   - expectedRoot: a daemon that serves another state directory shall refuse; nil to take any.
    ///   - startDaemon: brings a daemon up, or throws why it cannot; nil to never start one.
    public init(
        _ places: Places, expectedRoot: String?, startDaemon: (() throws(Failure) -> Void)?
    ) {
        self.places = places
        headers =
            [("Content-Type", "application/json")] + (expectedRoot.map { [(Self.rootHeader, $0)] } ?? [])
        self.startDaemon = startDaemon
        session = SocketSession(path: places.socket)
    }

    /// Sends a request without a body and decodes the answer.
    /// - Parameter path: below the version, such as `images`, with names percent-encoded.
    public func call<Answer: Decodable>(
        _ method: String, _ path: String, as type: Answer.Type
    ) throws(Failure) -> Answer {
        try decode(type, try send(method, path, body: nil))
    }

    /// Sends a value as JSON and decodes the answer.
    public func call<Answer: Decodable>(
        _ method: String, _ path: String, _ body: some Encodable, as type: Answer.Type
    ) throws(Failure) -> Answer {
        try decode(type, try send(method, path, body: try JSON.encode(body)))
    }

    /// Sends a request whose answer is a stream of JSON lines; `onLine` gets each without its end.
    public func stream(
        _ path: String, onLine: @escaping (ArraySlice<UInt8>) -> Void
    ) throws(Failure) {
        var rest: [UInt8] = []
        _ = try send("GET", path, body: nil) { bytes in
            rest.append(contentsOf: bytes)
            var start = 0
            while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
                onLine(rest[start..<end])
                start = end + 1
            }
            rest.removeFirst(start)
            return true
        }
    }

    private func send(
        _ method: String, _ path: String, body: [UInt8]?, onBody: ((UnsafeRawBufferPointer) -> Bool)? = nil
    ) throws(Failure) -> Response {
        let request = Request(
            method, "http://slacker/\(Version.api)/\(path)", headers: headers, body: body)
        var response: Response
        do throws(HTTPError) {
            response = try session.perform(request, onBody: onBody)
        } catch {
            guard let startDaemon, Self.mayRepeat(error, method, hasBody: onBody != nil) else {
                throw explain(error)
            }
            try startDaemon()
            do throws(HTTPError) { response = try session.perform(request, onBody: onBody) } catch {
                throw explain(error)
            }
            // What the daemon that died had done already need not be done.
            if case .cutShort = error, method == "DELETE",
                response.status == Failure.Code.notFound.httpStatus
            {
                response = Response(status: 200, headers: [], body: try JSON.encode(Done()))
            }
        }
        if response.isSuccess { return response }
        if let failure = try? JSON.decode(Failure.self, response.body) { throw failure }
        throw Failure(.failed, "\(places.socket): the daemon answered with status \(response.status)")
    }

    /// A request that nobody has got, or that does no harm when it is done twice.
    private static func mayRepeat(_ error: HTTPError, _ method: String, hasBody: Bool) -> Bool {
        switch error {
        case .cannotConnect: true
        case .cutShort: !hasBody && (method == "GET" || method == "DELETE")
        default: false
        }
    }

    private func explain(_ error: HTTPError) -> Failure {
        switch error {
        case .cannotConnect:
            Failure(.unavailable, "\(places.socket): no daemon runs; start one with 'slacker daemon'")
        case .cutShort:
            Failure(.unavailable, "\(places.socket): the daemon went away; its log is \(places.log)")
        default: Failure(.failed, "\(error)")
        }
    }

    private func decode<T: Decodable>(_ type: T.Type, _ response: Response) throws(Failure) -> T {
        do throws(Failure) { return try JSON.decode(type, response.body) } catch {
            throw Failure(
                .failed, "\(places.socket): the daemon's answer is not understood; restart the daemon")
        }
    }
}
