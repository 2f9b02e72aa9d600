// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// The service that a registry names in its bearer challenge, which trades credentials for tokens.
struct TokenService {
    let client: RegistryClient
    let endpoint: Endpoint
    let challenge: Challenge

    private struct Document: Decodable {
        let token: String?
        let accessToken: String?
        let expiresIn: Double?

        enum CodingKeys: String, CodingKey {
            case token
            case accessToken = "access_token"
            case expiresIn = "expires_in"
        }
    }

    /// Seconds that a token lives at least by the specification, and where the service says nothing.
    private static let leastSeconds: Double = 60
    private static let limitBytes = 1 << 20

    /// Gets a token; blocks.
    func fetch(_ scopes: ScopeSet, _ name: String) throws(OCIError) -> Token {
        let search = client.credentials.find(endpoint.host, name)
        if let credential = search.credential, credential.kind == .registryToken {
            // The file holds what the service would give.
            let granted = Granted(header: "Bearer " + credential.secret, credential: credential)
            return Token(granted: granted, scopes: scopes, until: .now.advanced(bySeconds: Self.leastSeconds))
        }
        let realm = try realm(for: search.credential)
        let response = try ask(request(realm, scopes, search.credential), realm)
        if !response.isSuccess { throw refusal(response, search.credential, realm) }
        return try token(response, scopes, search.credential, realm)
    }

    private func realm(for credential: Credential?) throws(OCIError) -> WebAddress {
        let text = challenge.parameters["realm"] ?? ""
        guard let realm = endpoint.root.resolving(text) else {
            throw .badAnswer(endpoint.host, reason: "its token service is said to be at \(printable(text))")
        }
        if credential != nil, endpoint.root.scheme == "https", realm.scheme == "http" {
            throw .denied(
                endpoint.host,
                reason: "its token service \(realm.redacted) has no TLS; credentials are not sent there")
        }
        return realm
    }

    /// With an identity token the OAuth 2 form (POST), else Docker's older one, which every service knows.
    private func request(_ realm: WebAddress, _ scopes: ScopeSet, _ credential: Credential?) -> Request {
        let service = challenge.parameters["service"]
        if let credential, credential.kind == .identityToken {
            var form = [
                ("grant_type", "refresh_token"), ("client_id", "slacker"),
                ("refresh_token", credential.secret),
            ]
            if let service { form.append(("service", service)) }
            if !scopes.isEmpty { form.append(("scope", "\(scopes)")) }
            let body = form.map { $0.0 + "=" + percentEncoded($0.1) }.joined(separator: "&")
            return Request(
                "POST", "\(realm)", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(body.utf8))
        }
        var address = realm
        if let service { address.append("service", percentEncoded(service)) }
        for scope in scopes.texts { address.append("scope", percentEncoded(scope)) }
        var request = Request("GET", "\(address)")
        if let credential {
            var named = address
            named.append("account", percentEncoded(credential.username))
            request.url = "\(named)"
            request.headers = [("Authorization", credential.basicHeader)]
        }
        return request
    }

    private func ask(_ request: Request, _ realm: WebAddress) throws(OCIError) -> Response {
        var request = request
        request.connectTimeoutMs = client.settings.connectTimeoutMs
        request.responseLimitBytes = Self.limitBytes
        var tls = endpoint.tls
        if realm.host != endpoint.root.host {
            // Another host is not the one whose certificate need not be checked, nor the one that knows ours.
            (tls.clientCertificate, tls.clientKey, tls.skipVerify) = (nil, nil, false)
        }
        let options = TransferOptions(tls: tls, redirects: 2, stallTimeoutMs: client.settings.stallTimeoutMs)
        var retry = Retry(client.settings, attempts: client.settings.attempts)
        while true {
            do throws(HTTPError) {
                let response = try client.loop.perform(request, options)
                let isPassing = passingStatuses.contains(response.status)
                if !isPassing || !retry.pause(askedSeconds: RetryAfter.seconds(response)) { return response }
            } catch {
                if !error.isPassing || !retry.pause(askedSeconds: nil) {
                    throw .unavailable("\(endpoint.host): token service", reason: "\(error)")
                }
            }
        }
    }

    private func refusal(_ response: Response, _ credential: Credential?, _ realm: WebAddress) -> OCIError {
        let said = ErrorBody.text(response)
        if passingStatuses.contains(response.status) {
            return .unavailable(
                "\(endpoint.host): token service",
                reason: "\(realm.authority) answers \(response.status): \(said)")
        }
        let granted = credential.map { Granted(header: "", credential: $0) }
        return .denied(
            endpoint.host,
            reason: "its token service \(realm.authority) says: \(said); "
                + client.credentials.advice(granted, endpoint))
    }

    private func token(
        _ response: Response, _ scopes: ScopeSet, _ credential: Credential?, _ realm: WebAddress
    ) throws(OCIError) -> Token {
        let name = "\(endpoint.host): token service \(realm.authority)"
        let document = try JSONDocument.decode(Document.self, response.body, name: name)
        // It becomes a line of a header.
        guard
            let value = [document.token, document.accessToken].compactMap({ $0 }).first(where: { !$0.isEmpty }
            ),
            value.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
        else { throw .badAnswer(name, reason: "it has no token, or one with characters that no token has") }
        let told = document.expiresIn ?? Self.leastSeconds
        let seconds = min(max(told, Self.leastSeconds), 86_400)
        let granted = Granted(header: "Bearer " + value, credential: credential)
        // Some of its life is left for the way, and for a request that takes its time.
        return Token(granted: granted, scopes: scopes, until: .now.advanced(bySeconds: seconds * 0.8))
    }
}
