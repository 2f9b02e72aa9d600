// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// Serves gRPC on a unix socket.
final class SnapshotsServer: Sendable {
    /// Bytes of a request; containerd's largest has a few labels of 4 KiB.
    private static let requestLimitBytes = 1 << 20
    /// Calls at the same time, over one connection.
    private static let callLimit = 256
    /// Clients ask more often than that whether the connection lives; it costs nothing on a local socket.
    private static let pingSeconds = 1

    private let path: String
    private let server: GRPCServer<HTTP2ServerTransport.Posix>
    private let task: Task<Void, Never>
    /// How serving ended; nil while it goes on.
    private let ended: Monitor<String?>

    /// Listens when it returns; blocks.
    init(path: String, service: some RegistrableRPCService) throws {
        self.path = path
        // gRPC closes it.
        let socket = Int(try ListeningSocket.bind(path).release())
        let transport = HTTP2ServerTransport.Posix(
            listeningSocketDescriptor: socket, transportSecurity: .plaintext, config: Self.configuration)
        let server = GRPCServer(transport: transport, services: [service])
        let ended = Monitor<String?>(nil)
        task = Task.detached {
            var reason = "stopped"
            do { try await server.serve() } catch { reason = "\(error)" }
            ended.withLock { $0 = reason }
        }
        (self.server, self.ended) = (server, ended)
        do {
            _ = try waitForTask { try await transport.listeningAddress }
            try ListeningSocket.show(path)
        } catch {
            task.cancel()
            throw Failure(.unavailable, "\(path): cannot listen: \(ended.withLock { $0 } ?? "\(error)")")
        }
    }

    /// Takes no more calls; those under way have some seconds to end, and are cancelled then.
    func stop(seconds: Double) {
        unlink(path)
        server.beginGracefulShutdown()
        let limit = MonotonicTime.now.advanced(bySeconds: seconds)
        if ended.wait(until: limit, { $0 }) == nil { task.cancel() }
    }

    private static var configuration: HTTP2ServerTransport.Posix.Config {
        .defaults { configuration in
            configuration.rpc.maxRequestPayloadSize = requestLimitBytes
            configuration.http2.maxConcurrentStreams = callLimit
            configuration.connection.keepalive.clientBehavior = .init(
                minPingIntervalWithoutCalls: .seconds(pingSeconds), allowWithoutCalls: true)
            // One small answer at a time: to wait for others would only make it late.
            configuration.connection.flushCoalescing = nil
        }
    }
}
