// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// One request to a registry, before it is known which server gets it.
struct Call: Sendable {
    var method: String
    /// Below the server's root, with its query; unused where `address` is set.
    var path = ""
    /// A whole address that an answer has named.
    var address: WebAddress?
    var headers: [(name: String, value: String)] = []
    var body: UploadBody?
    var scopes: ScopeSet
    /// What it is about and, where that is one, the repository; for texts.
    var subject: String
    var place: String
    var range: Range<UInt64>?
    /// Bytes of the answer's body that are taken.
    var limitBytes = JSONDocument.limitBytes
    /// Redirects that are followed.
    var redirects = 5
    var group: TransferGroup = .control
    /// May be sent again after an error, with the same effect as once.
    var isRepeatable = true
    var progress: (@Sendable (UInt64) -> Void)?

    init(_ method: String, _ path: String, scopes: ScopeSet, subject: String, place: String = "") {
        self.method = method
        self.path = path
        self.scopes = scopes
        self.subject = subject
        self.place = place
    }

    init(_ method: String, at address: WebAddress, scopes: ScopeSet, subject: String, place: String) {
        self.method = method
        self.address = address
        self.scopes = scopes
        self.subject = subject
        self.place = place
    }

    /// For texts.
    var name: String { place.isEmpty ? subject : place + ": " + subject }
}

/// What a server said to a call in the end.
struct Answer: Sendable {
    let response: Response
    /// Where it came from, after redirects.
    let address: WebAddress
    let endpoint: Endpoint
    /// What was shown to the server; nil for nothing.
    let granted: Granted?

    var status: Int { response.status }
    var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) }

    /// Where the next request of an upload goes; nil when that is missing or on another server.
    var location: WebAddress? {
        guard let target = response.header("location").flatMap({ address.resolving($0) }) else { return nil }
        return target.isSameOrigin(as: endpoint.root) || target.scheme == "https" || address.scheme == "http"
            ? target : nil
    }

    var redirectTarget: WebAddress? {
        isRedirect ? response.header("location").flatMap { address.resolving($0) } : nil
    }

    /// No step down from https, and none to a machine's own services, which are not the registry's to name.
    func mayFollow(_ target: WebAddress) -> Bool {
        if address.scheme == "https", target.scheme == "http" { return false }
        if target.isLoopback, !address.isLoopback { return false }
        return !target.host.hasPrefix("169.254.") || address.host.hasPrefix("169.254.")
    }

    var contentDigest: Digest? {
        response.header("docker-content-digest").flatMap { try? Digest(contentDigest: $0) }
    }

    var contentLength: UInt64? { response.header("content-length").flatMap { UInt64($0) } }

    /// Without parameters; nil when there is none.
    var mediaType: String? {
        guard let value = response.header("content-type") else { return nil }
        let type = value.prefix { $0 != ";" && $0 != " " }
        return type.isEmpty ? nil : String(type)
    }

    /// A success that is no index: some proxies answer everything, with a page for people.
    var isOtherContent: Bool { status == 200 && mediaType != MediaType.ociIndex }
}

/// The pause between attempts: doubled each time, a random part of it, or what the server asks for.
struct Retry {
    private var left: Int
    private var delaySeconds: Double
    private let longestSeconds: Double

    init(_ settings: RegistrySettings, attempts: Int) {
        left = attempts - 1
        delaySeconds = settings.firstDelaySeconds
        longestSeconds = settings.longestDelaySeconds
    }

    /// Waits for the next attempt; false when there is none left, or the server wants too long a pause.
    mutating func pause(askedSeconds: Double?) -> Bool {
        guard left > 0, askedSeconds ?? 0 <= longestSeconds else { return false }
        left -= 1
        // Many clients that failed together must not come back together.
        let own = min(delaySeconds, longestSeconds) * Double.random(in: 0.5...1)
        delaySeconds *= 2
        sleepSeconds(max(askedSeconds ?? 0, own))
        return true
    }
}
