// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// One repository of a registry.
///
/// Every method blocks until the registry has answered: for plain threads only, never a transfer loop's own.
/// Requests that fail for a passing reason are repeated, and mirrors are tried before the registry.
public final class Repository: Sendable {
    /// Host and, where there is one, port, as references have it.
    public let registry: String
    /// Components with slashes between.
    public let name: String
    let client: RegistryClient
    /// Blobs that lie elsewhere, and for how long that may be believed.
    let redirects = Lock<[Digest: BlobPlaceElsewhere]>([:])
    /// Servers that do not have a blob although they should.
    let absences = Lock<[Digest: Set<String>]>([:])

    init(client: RegistryClient, registry: String, name: String) {
        self.client = client
        self.registry = registry
        self.name = name
    }

    /// For texts.
    var label: String { registry + "/" + name }
    var settings: RegistrySettings { client.settings }
    var pullScope: ScopeSet { ScopeSet(repository: name, ["pull"]) }
    var pushScope: ScopeSet { ScopeSet(repository: name, ["pull", "push"]) }
    var deleteScope: ScopeSet { ScopeSet(repository: name, ["delete", "pull", "push"]) }

    /// Asks whether the registry is there, speaks the protocol and lets us pull from here.
    public func ping() throws(OCIError) {
        try first(of: .pull) { (endpoint, attempts) throws(OCIError) in
            let call = Call("GET", "/", scopes: pullScope, subject: "registry", place: label)
            let answer = try client.send(call, to: endpoint, attempts)
            if answer.response.isSuccess { return }
            if answer.status == 404 {
                throw .badAnswer(registry, reason: "there is no registry API at \(answer.address.redacted)")
            }
            throw client.failure(of: answer, call)
        }
    }

    /// Lets the servers for a purpose try in turn until one succeeds; the last one's error counts.
    func first<T>(
        of capability: Endpoint.Capabilities, _ body: (Endpoint, Int) throws(OCIError) -> T
    ) throws(OCIError) -> T {
        let endpoints = try client.endpoints(registry, for: capability)
        for endpoint in endpoints.dropLast() {
            do throws(OCIError) {
                // Another one waits: two attempts show whether this one is of use.
                return try body(endpoint, min(2, settings.attempts))
            } catch {
                if case .stopped = error { throw error }
                client.health.note(error, from: endpoint)
            }
        }
        guard let last = endpoints.last else {
            throw .unavailable(label, reason: "no server is configured for it")
        }
        do throws(OCIError) { return try body(last, settings.attempts) } catch {
            client.health.note(error, from: last)
            throw error
        }
    }

    /// The server that takes what is written.
    func writable() throws(OCIError) -> Endpoint {
        guard let endpoint = try client.endpoints(registry, for: .push).first else {
            throw .unavailable(label, reason: "no server is configured for pushing to it")
        }
        return endpoint
    }
}

/// Where a registry sent us for a blob.
struct BlobPlaceElsewhere: Sendable {
    let address: WebAddress
    let tls: TLSOptions
    let until: MonotonicTime
}
