// SPDX-License-Identifier: Apache-2.0

import Base
public import Daemon
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// Makes images known to containerd whose layers it need not fetch.
public struct ContainerdImages: Sendable {
    /// What containerd calls us in its configuration.
    public static let snapshotter = "slacker"

    private let namespace: String
    private let address: String

    /// - Parameter address: path of containerd's socket.
    public init(namespace: String, address: String) {
        self.namespace = namespace
        self.address = address
    }

    /// Says why there cannot be a containerd at this path.
    public static func check(_ address: String) throws(Failure) {
        if access(address, F_OK) == 0 { return }
        let error = SystemError.last("access", address)
        throw Failure(.unavailable, "\(error); is containerd running there?")
    }

    /// Registers an image in containerd, so that a container of it starts at once; blocks.
    ///
    /// Its layers get snapshots without being unpacked. Where that cannot be, nothing is registered.
    /// Errors: `.invalid` when the image would have to be unpacked, `.unavailable` without containerd.
    public func register(_ documents: ImageDocuments) throws(Failure) {
        let (namespace, address) = (namespace, address)
        do {
            try waitForTask {
                let transport = try HTTP2ClientTransport.Posix(
                    target: .unixDomainSocket(path: address, authority: "localhost"),
                    transportSecurity: .plaintext)
                try await withGRPCClient(transport: transport) { client in
                    try await ImageRegistration(client, namespace, documents).run()
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as RPCError where error.code == .unavailable {
            throw Failure(
                .unavailable,
                "containerd at \(address): \(error.message); is it running, with the proxy plugin slacker?")
        } catch let error as RPCError {
            throw Failure(.failed, "containerd at \(address): \(error.code): \(error.message)")
        } catch {
            throw Failure(.failed, "containerd at \(address): \(error)")
        }
    }
}
