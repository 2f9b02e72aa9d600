// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import TOMLKit

/// One `hosts.toml` as containerd reads it: through which servers a registry is reached.
struct HostsFile {
    private static let limitBytes = 1 << 20

    private let text: String
    private let path: String
    private let table: TOMLTable

    init(reading path: String) throws(OCIError) {
        let bytes = try mapped { () throws(SystemError) in
            try File(open: path, O_RDONLY).read(count: Self.limitBytes, at: 0)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .badConfiguration(path, reason: "it is not UTF-8")
        }
        try self.init(parsing: text, path: path)
    }

    init(parsing text: String, path: String) throws(OCIError) {
        self.text = text
        self.path = path
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw .badConfiguration(path, reason: "line \(error.source.begin.line): \(error.description)")
        } catch {
            throw .badConfiguration(path, reason: "it is not TOML: \(error)")
        }
    }

    /// The mirrors in the order of the file, then the registry's own server.
    /// - Parameters:
    ///   - registry: which the file is about.
    ///   - fallback: the server where the file names none.
    func endpoints(of registry: String, fallback: WebAddress) throws(OCIError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for (name, entry) in try hosts() {
            var endpoint = Endpoint(root: try root(name, entry))
            try apply(entry, named: "host.\"\(name)\"", to: &endpoint)
            if !endpoint.root.isSameOrigin(as: fallback) { endpoint.mirrored = registry }
            endpoints.append(endpoint)
        }
        guard let value = table["server"] else {
            // A registry that is itself among the hosts is not asked twice.
            let isNamed = endpoints.contains { $0.root.isSameOrigin(as: fallback) }
            return isNamed ? endpoints : endpoints + [Endpoint(root: fallback)]
        }
        guard let server = value.string else { throw wrong("server", "a string") }
        var own = Endpoint(root: try root(server, table))
        try apply(table, named: "the top level", to: &own)
        return endpoints + [own]
    }

    private func hosts() throws(OCIError) -> [(String, TOMLTable)] {
        guard let value = table["host"] else { return [] }
        guard let hosts = value.table else { throw wrong("host", "a table") }
        var entries: [(name: String, table: TOMLTable, line: Int)] = []
        for key in hosts.keys {
            guard let entry = hosts[key]?.table else { throw wrong("host.\"\(key)\"", "a table") }
            entries.append((key, entry, line(of: key)))
        }
        // The parser gives keys by the alphabet; here their order says what is tried first.
        return entries.sorted { ($0.line, $0.name) < ($1.line, $1.name) }.map { ($0.name, $0.table) }
    }

    private func line(of key: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let headers = ["[host.\"\(key)\"", "[host.'\(key)'"]
        let index = lines.firstIndex { line in
            let plain = String(line.filter { !$0.isWhitespace })
            return headers.contains { plain.hasPrefix($0) }
        }
        return index ?? Int.max
    }

    private func root(_ text: String, _ entry: TOMLTable) throws(OCIError) -> WebAddress {
        let full = text.hasPrefix("http://") || text.hasPrefix("https://") ? text : "https://" + text
        guard let address = WebAddress(full), address.query == nil else {
            throw .badConfiguration(path, reason: "\(printable(text)) is not the address of a server")
        }
        let overrides = try bool("override_path", entry) ?? false
        var base = address.path
        while base.hasSuffix("/") { base.removeLast() }
        if !overrides, !base.hasSuffix("/v2") { base += "/v2" }
        return WebAddress(
            scheme: address.scheme, authority: address.authority, path: base.isEmpty ? "/" : base)
    }

    private func apply(_ entry: TOMLTable, named name: String, to endpoint: inout Endpoint) throws(OCIError) {
        if let value = entry["capabilities"] {
            endpoint.capabilities = []
            for word in try strings(value, name + ".capabilities") {
                switch word {
                case "pull": endpoint.capabilities.insert(.pull)
                case "resolve": endpoint.capabilities.insert(.resolve)
                case "push": endpoint.capabilities.insert(.push)
                default:
                    throw .badConfiguration(
                        path,
                        reason:
                            "\(name): unknown capability \(printable(word)); there are pull, resolve, push")
                }
            }
        }
        if let value = entry["ca"] {
            endpoint.tls.certificateAuthorities = try strings(value, name + ".ca").map(absolute)
        }
        if let value = entry["client"] {
            let pair = try clientPair(value, name + ".client")
            (endpoint.tls.clientCertificate, endpoint.tls.clientKey) = (pair.first, pair.dropFirst().first)
        }
        endpoint.tls.skipVerify = try bool("skip_verify", entry) ?? false
        guard let value = entry["header"] else { return }
        guard let headers = value.table else { throw wrong(name + ".header", "a table") }
        for key in headers.keys {
            guard let value = headers[key] else { continue }
            for text in try strings(value, "\(name).header.\(key)") {
                let isClean = (key + text).utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
                if !isClean {
                    throw .badConfiguration(
                        path, reason: "\(name).header.\(printable(key)): a control character")
                }
                endpoint.headers.append((key, text))
            }
        }
    }

    /// `"cert.pem"`, `["cert.pem", "key.pem"]` or a list of such pairs, of which the first is used.
    private func clientPair(_ value: any TOMLValueConvertible, _ name: String) throws(OCIError) -> [String] {
        if let list = value.array, let first = list.first(where: { _ in true }), first.array != nil {
            return try strings(first, name).map(absolute)
        }
        return try strings(value, name).map(absolute)
    }

    private func strings(_ value: any TOMLValueConvertible, _ name: String) throws(OCIError) -> [String] {
        if let text = value.string { return [text] }
        guard let list = value.array else { throw wrong(name, "a string or a list of strings") }
        var result: [String] = []
        for item in list {
            guard let text = item.string else { throw wrong(name, "a string or a list of strings") }
            result.append(text)
        }
        return result
    }

    private func bool(_ key: String, _ entry: TOMLTable) throws(OCIError) -> Bool? {
        guard let value = entry[key] else { return nil }
        guard let bool = value.bool else { throw wrong(key, "true or false") }
        return bool
    }

    /// Names of files are relative to the one that has them.
    private func absolute(_ name: String) -> String {
        name.hasPrefix("/") ? name : Directories.parent(of: path) + "/" + name
    }

    private func wrong(_ key: String, _ type: String) -> OCIError {
        .badConfiguration(path, reason: "\(printable(key)) is not \(type)")
    }
}
