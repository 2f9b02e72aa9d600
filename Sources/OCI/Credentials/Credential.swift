// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// What a registry or its token service is shown to know who asks.
///
/// Never put `secret` into a text.
struct Credential: Sendable, Equatable, CustomStringConvertible {
    enum Kind: Sendable {
        case password
        /// Traded for tokens by OAuth 2; also known as a refresh token.
        case identityToken
        /// A bearer token as it is.
        case registryToken
    }

    let username: String
    let secret: String
    let kind: Kind
    /// A file or a helper, for texts.
    let origin: String

    /// The `Authorization` of RFC 7617.
    var basicHeader: String {
        "Basic " + Data((username + ":" + secret).utf8).base64EncodedString()
    }

    /// Without the secret.
    var description: String {
        switch kind {
        case .password: "the credentials of user \"\(printable(username))\" from \(origin)"
        case .identityToken: "the identity token from \(origin)"
        case .registryToken: "the registry token from \(origin)"
        }
    }
}

/// One file in the form of Docker's `config.json`, which Podman's `auth.json` has too.
struct CredentialFile {
    private struct Document: Decodable {
        struct Entry: Decodable {
            let auth: String?
            let username: String?
            let password: String?
            let identitytoken: String?
            let registrytoken: String?
        }
        let auths: [String: Entry]?
        let credHelpers: [String: String]?
        let credsStore: String?
    }

    /// Where the file says that a credential is.
    enum Finding: Equatable {
        case credential(Credential)
        /// The program `docker-credential-NAME` knows, under this name for the server.
        case helper(String, server: String)
    }

    private let document: Document
    private let path: String

    init(parsing bytes: [UInt8], path: String) throws(OCIError) {
        document = try JSONDocument.decode(Document.self, bytes, name: path)
        self.path = path
    }

    /// What the file has for a repository: the entry of the longest prefix of `HOST/NAME`, and the store of
    /// all credentials where no entry has any.
    /// - Returns: all that may be asked, in order.
    func findings(host: String, repository: String) throws(OCIError) -> [Finding] {
        var findings: [Finding] = []
        let helpers = Self.normalized(document.credHelpers ?? [:])
        let entries = Self.normalized(document.auths ?? [:])
        for key in Self.keys(Self.canonical(host), repository) {
            if let name = helpers[key], !name.isEmpty {
                findings.append(.helper(name, server: Self.server(for: key)))
            }
            if let entry = entries[key], let credential = try credential(entry, key) {
                findings.append(.credential(credential))
            }
        }
        if let store = document.credsStore, !store.isEmpty {
            findings.append(.helper(store, server: Self.server(for: Self.canonical(host))))
        }
        return findings
    }

    private func credential(_ entry: Document.Entry, _ key: String) throws(OCIError) -> Credential? {
        if let token = entry.registrytoken, !token.isEmpty {
            if !token.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) {
                throw .badConfiguration(path, reason: "the registrytoken of \(printable(key)) is malformed")
            }
            return Credential(username: "", secret: token, kind: .registryToken, origin: path)
        }
        var username = entry.username ?? ""
        var password = entry.password ?? ""
        if let auth = entry.auth, !auth.isEmpty {
            guard let data = Data(base64Encoded: auth),
                let text = String(validating: [UInt8](data), as: UTF8.self),
                let colon = text.firstIndex(of: ":")
            else {
                throw .badConfiguration(
                    path, reason: "the auth of \(printable(key)) is not the base64 form of USER:PASSWORD")
            }
            username = String(text[..<colon])
            password = String(text[text.index(after: colon)...].prefix { $0 != "\0" })
        }
        if let token = entry.identitytoken, !token.isEmpty {
            return Credential(username: username, secret: token, kind: .identityToken, origin: path)
        }
        if username.isEmpty && password.isEmpty { return nil }
        return Credential(username: username, secret: password, kind: .password, origin: path)
    }

    /// `HOST/A/B`, `HOST/A`, `HOST`.
    private static func keys(_ host: String, _ repository: String) -> [String] {
        var parts = repository.split(separator: "/")
        var keys: [String] = []
        while !parts.isEmpty {
            keys.append(host + "/" + parts.joined(separator: "/"))
            parts.removeLast()
        }
        return keys + [host]
    }

    /// Older files write addresses in place of names: `https://HOST/v1/`.
    private static func normalized<T>(_ entries: [String: T]) -> [String: T] {
        var result: [String: T] = [:]
        for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
            var name = key[...]
            if let scheme = ["https://", "http://"].first(where: { key.hasPrefix($0) }) {
                name = name.dropFirst(scheme.count).prefix { $0 != "/" }
            }
            while name.hasSuffix("/") { name = name.dropLast() }
            let host = name.prefix { $0 != "/" }
            result[canonical(String(host)) + name[host.endIndex...]] = value
        }
        return result
    }

    /// One name for all names of Docker Hub.
    static func canonical(_ host: String) -> String {
        ["index.docker.io", "registry-1.docker.io", "docker.io"].contains(host)
            ? Reference.defaultRegistry : host.lowercased()
    }

    /// Helpers know Docker Hub by the address of its first version.
    private static func server(for key: String) -> String {
        key == Reference.defaultRegistry ? "https://index.docker.io/v1/" : key
    }
}
