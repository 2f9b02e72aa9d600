// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// What a request shows to a server.
struct Granted: Sendable, Equatable {
    /// The value of the header `Authorization`.
    let header: String
    /// nil where a token was given to everyone.
    let credential: Credential?
}

/// Gets and keeps what one server wants to see from its clients.
final class Authorizer: Sendable {
    private enum Knowledge {
        case unknown
        /// It has answered without a challenge.
        case open
        case challenge(Challenge)
    }

    private struct State {
        var knowledge = Knowledge.unknown
        var tokens: [Token] = []
        var flights: [ScopeSet: Flight] = [:]
    }

    /// A question to the token service on which more than one thread waits.
    private final class Flight: Sendable {
        let result = Monitor<Result<Token, OCIError>?>(nil)
    }

    private static let tokenLimit = 1024

    private let client: RegistryClient
    private let endpoint: Endpoint
    private let state = Lock(State())

    init(client: RegistryClient, _ endpoint: Endpoint) {
        self.client = client
        self.endpoint = endpoint
    }

    /// False until the server has answered anything.
    var isKnown: Bool {
        state.withLock { if case .unknown = $0.knowledge { false } else { true } }
    }

    /// What to show for these scopes, by all that is known; nil for nothing.
    ///
    /// Blocks when a token must be got; all who want the same one wait for one question.
    func authorization(for scopes: ScopeSet, _ name: String) throws(OCIError) -> Granted? {
        guard case .challenge(let challenge) = state.withLock({ $0.knowledge }) else { return nil }
        return try grant(challenge, scopes, name)
    }

    /// The server has answered something else than 401 to a request that showed nothing.
    func noteOpen() {
        state.withLock { if case .unknown = $0.knowledge { $0.knowledge = .open } }
    }

    /// Learns from a 401; nil when there is nothing better to show than what was.
    func renew(after answer: Answer, _ scopes: ScopeSet, _ name: String) throws(OCIError) -> Granted? {
        let lines = answer.response.headers.filter { $0.name == "www-authenticate" }.map(\.value)
        let offered = Challenge.parse(lines)
        guard
            var challenge = offered.first(where: { $0.scheme == "bearer" && $0.parameters["realm"] != nil })
                ?? offered.first(where: { $0.scheme == "basic" })
        else { return nil }
        let wanted = scopes.union(ScopeSet(parsing: challenge.parameters["scope"] ?? ""))
        challenge.parameters["scope"] = nil
        challenge.parameters["error"] = nil
        state.withLock { current in
            current.knowledge = .challenge(challenge)
            if let used = answer.granted { current.tokens.removeAll { $0.granted == used } }
        }
        if answer.granted != nil { client.credentials.forget(endpoint.host) }
        let next = try grant(challenge, wanted, name)
        return next == answer.granted ? nil : next
    }

    /// Forgets the tokens that would be shown for these scopes, since one was refused.
    func drop(scopes: ScopeSet) {
        state.withLock { current in
            current.tokens.removeAll { $0.scopes.covers(scopes) }
            if case .open = current.knowledge { current.knowledge = .unknown }
        }
        client.credentials.forget(endpoint.host)
    }

    private func grant(
        _ challenge: Challenge, _ scopes: ScopeSet, _ name: String
    ) throws(OCIError) -> Granted? {
        if challenge.scheme == "bearer" { return try token(challenge, scopes, name).granted }
        return client.credentials.find(endpoint.host, name).credential.map {
            Granted(header: $0.basicHeader, credential: $0)
        }
    }

    private func token(
        _ challenge: Challenge, _ scopes: ScopeSet, _ name: String
    ) throws(OCIError) -> Token {
        enum Step {
            case have(Token), wait(Flight), lead(Flight)
        }
        let step = state.withLock { current -> Step in
            let now = MonotonicTime.now
            current.tokens.removeAll { $0.until <= now }
            if let token = current.tokens.first(where: { $0.scopes.covers(scopes) }) { return .have(token) }
            if let flight = current.flights[scopes] { return .wait(flight) }
            let flight = Flight()
            current.flights[scopes] = flight
            return .lead(flight)
        }
        switch step {
        case .have(let token): return token
        case .wait(let flight): return try flight.result.wait { $0 }.get()
        case .lead(let flight):
            let result: Result<Token, OCIError>
            do throws(OCIError) {
                let service = TokenService(client: client, endpoint: endpoint, challenge: challenge)
                result = .success(try service.fetch(scopes, name))
            } catch { result = .failure(error) }
            state.withLock { current in
                current.flights[scopes] = nil
                if case .success(let token) = result {
                    if current.tokens.count >= Self.tokenLimit { current.tokens.removeFirst() }
                    current.tokens.append(token)
                }
            }
            flight.result.withLock { $0 = result }
            return try result.get()
        }
    }
}

/// A bearer token and what it is good for.
struct Token: Sendable {
    let granted: Granted
    let scopes: ScopeSet
    let until: MonotonicTime
}
