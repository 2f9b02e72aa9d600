// SPDX-License-Identifier: Apache-2.0

/// An http or https address in its parts; enough of RFC 3986 for what registries send.
struct WebAddress: Hashable, Sendable, CustomStringConvertible {
    /// `http` or `https`.
    let scheme: String
    /// Host and, where there is one, port; lower case.
    let authority: String
    /// Starts with a slash.
    let path: String
    /// Without the question mark; nil when there is none.
    var query: String?

    init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
        let scheme = text[..<colon].lowercased()
        let rest = text[text.index(colon, offsetBy: 3)...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        // A user in the address would be a credential that is sent unseen.
        if !["http", "https"].contains(scheme) || authority.isEmpty || authority.contains("@") { return nil }
        let isClean = text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }
        if !isClean { return nil }
        let tail = rest[authority.endIndex...]
        let path = tail.prefix { $0 != "?" }
        self.scheme = scheme
        self.authority = authority.lowercased()
        self.path = path.isEmpty ? "/" : String(path)
        query = path.endIndex < tail.endIndex ? String(tail[path.endIndex...].dropFirst()) : nil
    }

    /// The address that a `Location` or `Link` of this one's answer names.
    func resolving(_ location: String) -> WebAddress? {
        if let absolute = WebAddress(location) { return absolute }
        if location.hasPrefix("//") { return WebAddress(scheme + ":" + location) }
        if location.hasPrefix("/") { return WebAddress(origin + location) }
        // What is left is a path below this one, or a scheme that is not ours.
        if location.prefix(while: { $0 != "/" && $0 != "?" }).contains(":") { return nil }
        if location.hasPrefix("?") { return WebAddress(origin + path + location) }
        let parent = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return WebAddress(origin + parent + location)
    }

    /// Scheme, host and port: where credentials for this address may go.
    var origin: String { scheme + "://" + authority }

    /// The host without the port.
    var host: String {
        if authority.hasPrefix("[") { return String(authority.drop { $0 == "[" }.prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }

    /// The port, the scheme's own where the address names none.
    var port: Int {
        let tail =
            authority.hasPrefix("[") ? authority.drop { $0 != "]" }.dropFirst() : authority.drop { $0 != ":" }
        return Int(tail.dropFirst()) ?? (scheme == "https" ? 443 : 80)
    }

    /// True when both lead to the same server in the same way.
    func isSameOrigin(as other: WebAddress) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    /// True for names of this machine's own interface.
    var isLoopback: Bool {
        let host = host
        if host == "localhost" || host.hasSuffix(".localhost") || host == "::1" { return true }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
    }

    /// Adds a parameter to the query, encoding its value.
    mutating func append(_ name: String, _ encodedValue: String) {
        let pair = name + "=" + encodedValue
        query = query.map { $0.isEmpty ? pair : $0 + "&" + pair } ?? pair
    }

    var description: String { origin + path + (query.map { "?" + $0 } ?? "") }

    /// For texts: what may be a secret in the query is left out.
    var redacted: String { origin + path + (query == nil ? "" : "?…") }
}
