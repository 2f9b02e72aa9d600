// SPDX-License-Identifier: Apache-2.0

import Base
import FlyingFox
import FlyingSocks
import Foundation
import Glibc

/// Serves `/metrics`, and nothing else, on a loopback address, for a Prometheus on the same machine.
///
/// No secret is in the figures, but names of images and volumes are: so no other address can be set.
struct MetricsServer: Sendable {
    private let server: HTTPServer
    private let address: String

    /// - Parameter address: `127.0.0.1:PORT` or `[::1]:PORT`.
    init(address: String, text: @escaping @Sendable () -> String) throws(Failure) {
        self.address = address
        guard let socket = Self.parse(address) else {
            throw Failure(
                .invalid,
                "metrics.listen \(address): not 127.0.0.1:PORT or [::1]:PORT; no other address is served")
        }
        let configuration: HTTPServer.Configuration
        switch socket {
        case .four(let port):
            guard let place = try? sockaddr_in.inet(ip4: "127.0.0.1", port: port) else {
                throw Failure(.invalid, "metrics.listen \(address): not an address")
            }
            configuration = .init(address: place, timeout: 30, logger: .disabled)
        case .six(let port):
            guard let place = try? sockaddr_in6.inet6(ip6: "::1", port: port) else {
                throw Failure(.invalid, "metrics.listen \(address): not an address")
            }
            configuration = .init(address: place, timeout: 30, logger: .disabled)
        }
        server = HTTPServer(config: configuration, handler: Handler(text: text))
    }

    enum Address: Equatable {
        case four(UInt16)
        case six(UInt16)
    }

    static func parse(_ text: String) -> Address? {
        for (prefix, make) in [("127.0.0.1:", Address.four), ("[::1]:", Address.six)]
        where text.hasPrefix(prefix) {
            guard let port = UInt16(text.dropFirst(prefix.count)), port > 0 else { return nil }
            return make(port)
        }
        return nil
    }

    func start() async throws(Failure) {
        let server = server
        Task.detached { try? await server.run() }
        do { try await server.waitUntilListening(timeout: 5) } catch {
            throw Failure(.unavailable, "metrics.listen \(address): cannot listen there; choose another port")
        }
    }

    func stop() async { await server.stop(timeout: 1) }

    private struct Handler: HTTPHandler {
        let text: @Sendable () -> String

        func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            guard request.method == .GET, request.target.path() == "/metrics" else {
                return HTTPResponse(statusCode: .notFound, body: Data("only GET /metrics is here\n".utf8))
            }
            let text = text
            let body = try await runBlocking("metrics") { text() }
            return HTTPResponse(
                statusCode: .ok, headers: [.contentType: MetricsText.contentType], body: Data(body.utf8))
        }
    }
}
