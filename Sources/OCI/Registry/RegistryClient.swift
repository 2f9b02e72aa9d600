// SPDX-License-Identifier: Apache-2.0

import Base
public import HTTP

/// Speaks the OCI distribution protocol with any number of registries.
///
/// One for the program: tokens and what is known about mirrors are shared by all threads.
public final class RegistryClient: Sendable {
    let loop: TransferLoop
    let settings: RegistrySettings
    let credentials: CredentialStore
    let health = MirrorHealth()
    /// Kinds of servers learned from their answers, by `Endpoint.key`.
    let traits = Lock<[String: ServerTraits]>([:])
    private let hosts: HostDirectory
    private let authorizers = Lock<[String: Authorizer]>([:])

    public init(loop: TransferLoop, settings: RegistrySettings = .init()) {
        self.loop = loop
        self.settings = settings
        credentials = CredentialStore(settings)
        hosts = HostDirectory(settings)
    }

    /// The repository that a reference names; nothing is asked yet, so that it may not exist.
    public func repository(_ reference: Reference) -> Repository {
        Repository(client: self, registry: reference.registry, name: reference.repository)
    }

    /// The servers for a purpose in the order in which they are tried: mirrors first, the registry last.
    ///
    /// Mirrors that have just failed are left out.
    func endpoints(
        _ registry: String, for capability: Endpoint.Capabilities
    ) throws(OCIError) -> [Endpoint] {
        let all = try hosts.endpoints(registry).filter { $0.capabilities.contains(capability) }
        if all.isEmpty {
            throw .refused(registry, status: 0, reason: "its hosts.toml names no server with the capability")
        }
        let healthy = all.filter { !$0.isMirror || health.isTrusted($0.key) }
        return healthy.isEmpty ? all : healthy
    }

    /// All servers, whatever they are for and however they are.
    func allEndpoints(_ registry: String) throws(OCIError) -> [Endpoint] { try hosts.endpoints(registry) }

    func authorizer(_ endpoint: Endpoint) -> Authorizer {
        authorizers.withLock { known in
            if let authorizer = known[endpoint.key] { return authorizer }
            let authorizer = Authorizer(client: self, endpoint)
            known[endpoint.key] = authorizer
            return authorizer
        }
    }

    func learn(_ endpoint: Endpoint, _ change: (inout ServerTraits) -> Void) {
        traits.withLock { change(&$0[endpoint.key, default: ServerTraits()]) }
    }

    func traits(of endpoint: Endpoint) -> ServerTraits {
        traits.withLock { $0[endpoint.key] ?? ServerTraits() }
    }
}

/// What a server's answers have told about it.
struct ServerTraits: Sendable {
    /// Sends those who want a blob to another place.
    var redirectsBlobs: Bool?
    /// Until when it is taken to have no referrers API.
    var noReferrersUntil: MonotonicTime?
}

/// Remembers which mirrors are not to be asked for a while.
final class MirrorHealth: Sendable {
    private let shunned = Lock<[String: MonotonicTime]>([:])

    func isTrusted(_ key: String) -> Bool {
        shunned.withLock { all in
            guard let end = all[key] else { return true }
            if end > .now { return false }
            all[key] = nil
            return true
        }
    }

    /// A mirror that failed rests for half a minute; one that gave wrong bytes for ten.
    func note(_ error: OCIError, from endpoint: Endpoint) {
        let seconds: Double
        switch error {
        case .unavailable: seconds = 30
        case .digestMismatch, .sizeMismatch, .badAnswer: seconds = 600
        default: return
        }
        guard endpoint.isMirror else { return }
        shunned.withLock { $0[endpoint.key] = .now.advanced(bySeconds: seconds) }
        Log.warning(
            "oci", "mirror is left out for a while",
            ["mirror": endpoint.root.origin, "seconds": "\(Int(seconds))", "because": "\(error)"])
    }
}
