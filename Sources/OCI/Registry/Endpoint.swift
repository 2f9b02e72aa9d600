// SPDX-License-Identifier: Apache-2.0

import HTTP

/// One server through which a registry is reached: the registry itself or a mirror of it.
struct Endpoint: Sendable {
    struct Capabilities: OptionSet, Sendable {
        let rawValue: UInt8

        /// Gives content by digest.
        static let pull = Capabilities(rawValue: 1)
        /// May be believed what a tag means.
        static let resolve = Capabilities(rawValue: 2)
        static let push = Capabilities(rawValue: 4)
        static let all: Capabilities = [.pull, .resolve, .push]
    }

    /// What all paths start with, usually `https://HOST/v2`; no slash at its end.
    let root: WebAddress
    /// Under which credentials are kept.
    var host: String { root.authority }
    var capabilities: Capabilities = .all
    var tls = TLSOptions()
    /// Sent with each request that goes to this server itself.
    var headers: [(name: String, value: String)] = []
    /// The registry that a mirror stands for, which it may need to be told; nil for the registry itself.
    var mirrored: String?

    var isMirror: Bool { mirrored != nil }
    /// Names it among all servers of all registries.
    var key: String { "\(root) \(mirrored ?? "")" }

    /// - Parameter path: below the root, starting with a slash, encoded.
    func address(_ path: String) -> WebAddress {
        let tail = path.prefix { $0 != "?" }
        var result = root.appending(path: String(tail))
        result.query = tail.endIndex < path.endIndex ? String(path[tail.endIndex...].dropFirst()) : nil
        if let mirrored { result.append("ns", percentEncoded(mirrored)) }
        return result
    }
}

extension WebAddress {
    func appending(path tail: String) -> WebAddress {
        let base = path.hasSuffix("/") ? String(path.dropLast()) : path
        return WebAddress(scheme: scheme, authority: authority, path: base + tail)
    }

    init(scheme: String, authority: String, path: String) {
        self.scheme = scheme
        self.authority = authority
        self.path = path
    }
}
