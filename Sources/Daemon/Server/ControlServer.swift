// SPDX-License-Identifier: Apache-2.0

import Base
import FlyingFox
import FlyingSocks
import Foundation
import Glibc
import HTTP
import Logging

/// Serves the control API on the daemon's unix socket, for root only.
struct ControlServer: Sendable {
    /// Bytes that a request's body may have.
    static let bodyLimitBytes = 1 << 20

    private let server: HTTPServer
    private let path: String
    private let isStopping = Flag()

    /// Set once; a class, since copies of the server share it.
    private final class Flag: Sendable {
        let value = Lock(false)
    }

    /// - Parameter router: what to do with a call; it runs on a plain thread of its own.
    init(path: String, router: Router) throws(Failure) {
        // The address of a unix socket holds 107 bytes and an end.
        guard path.utf8.count < 108 else {
            throw Failure(.unavailable, "\(path): too long for a socket; choose a shorter --run directory")
        }
        self.path = path
        // The limit on a handler is for a web page's; an unmount may flush for minutes.
        let configuration = HTTPServer.Configuration(
            address: .unix(path: path), timeout: 24 * 3600, logger: .disabled)
        server = HTTPServer(config: configuration, handler: Handler(router: router))
    }

    /// Listens; returns once connections are taken.
    ///
    /// The daemon's lock is held, so an old socket is a dead one's.
    func start() async throws(Failure) {
        unlink(path)
        let (server, path, isStopping) = (server, path, isStopping)
        Task.detached {
            // A server that is stopped ends with an error too; only another end is worth a line.
            do { try await server.run() } catch {
                if !isStopping.value.withLock({ $0 }) { Log.error("api", "\(path): \(error)") }
            }
        }
        do { try await server.waitUntilListening(timeout: 10) } catch {
            throw Failure(.unavailable, "\(path): cannot listen: \(error)")
        }
        if chmod(path, 0o600) < 0 { throw Failure(SystemError.last("chmod", path)) }
    }

    func stop() async {
        isStopping.value.withLock { $0 = true }
        unlink(path)
        await server.stop(timeout: 1)
    }

    private struct Handler: HTTPHandler {
        let router: Router

        func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            do {
                let call = try await call(request)
                let router = router
                return Self.response(try await runBlocking("api") { try router.route(call) })
            } catch {
                return Self.response(Failure(error))
            }
        }

        private func call(_ request: HTTPRequest) async throws -> Call {
            let parts = request.target.path().split(separator: "/").map { percentDecoded($0) }
            try checkRoot(request.headers[HTTPHeader(ControlClient.rootHeader)])
            guard parts.first == Version.api, !parts.contains(nil) else {
                throw Failure(.noRoute, "\(request.target.path()): the control API is below /\(Version.api)")
            }
            let query = request.query.reduce(into: [:]) { $0[$1.name] = $1.value }
            return Call(
                method: request.method.rawValue, path: parts.dropFirst().compactMap { $0 }, query: query,
                body: try await Self.body(of: request))
        }

        /// A client that names another state directory than ours must not be served from this one.
        private func checkRoot(_ named: String?) throws(Failure) {
            guard let named, !router.driver.places.hasRoot(named) else { return }
            let ours = router.driver.places
            let text = "\(named): the daemon at \(ours.run) serves \(ours.root)"
            throw Failure(.invalid, text + "; name that one with --root, or another daemon with --run")
        }

        /// Stops reading at the limit, whatever the header says.
        private static func body(of request: HTTPRequest) async throws -> [UInt8] {
            var bytes: [UInt8] = []
            for try await piece in request.bodySequence {
                bytes.append(contentsOf: piece)
                if bytes.count > bodyLimitBytes {
                    throw Failure(
                        .tooLarge, "request: more than \(bodyLimitBytes) bytes; the API takes no more")
                }
            }
            return bytes
        }

        private static func response(_ reply: Reply) -> HTTPResponse {
            switch reply {
            case .json(let bytes):
                return HTTPResponse(
                    statusCode: .ok, headers: [.contentType: "application/json"], body: Data(bytes))
            case .text(let text):
                return HTTPResponse(
                    statusCode: .ok, headers: [.contentType: MetricsText.contentType], body: Data(text.utf8))
            case .lines(let file):
                let body = HTTPBodySequence(
                    from: TemporaryFileBytes(file: file), count: file.count, suggestedBufferSize: 1 << 18)
                return HTTPResponse(
                    statusCode: .ok, headers: [.contentType: "application/x-ndjson"], body: body)
            }
        }

        private static func response(_ failure: Failure) -> HTTPResponse {
            let body = (try? JSON.encode(failure)) ?? []
            let status = HTTPStatusCode(failure.code.httpStatus, phrase: failure.code.rawValue)
            return HTTPResponse(
                statusCode: status, headers: [.contentType: "application/json"], body: Data(body))
        }
    }
}
