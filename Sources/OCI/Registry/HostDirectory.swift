// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// Knows the servers of each registry, from the configuration files and the rules where there are none.
final class HostDirectory: Sendable {
    private struct Known {
        let endpoints: [Endpoint]
        let until: MonotonicTime
    }

    /// Seconds for which files are not read again.
    private static let freshSeconds: Double = 30

    private let settings: RegistrySettings
    private let known = Lock<[String: Known]>([:])

    init(_ settings: RegistrySettings) {
        self.settings = settings
    }

    /// Mirrors in their order, then the registry itself.
    func endpoints(_ registry: String) throws(OCIError) -> [Endpoint] {
        if let entry = known.withLock({ $0[registry] }), entry.until > .now { return entry.endpoints }
        var endpoints = try read(registry)
        for index in endpoints.indices {
            endpoints[index].tls.certificateAuthorities += settings.certificateAuthorities
        }
        known.withLock {
            $0[registry] = Known(endpoints: endpoints, until: .now.advanced(bySeconds: Self.freshSeconds))
        }
        return endpoints
    }

    private func read(_ registry: String) throws(OCIError) -> [Endpoint] {
        let directories = [settings.certsDirectory, settings.dockerCertsDirectory].compactMap { $0 }
        var tls = TLSOptions()
        for directory in directories {
            guard let path = Self.directory(for: registry, in: directory) else { continue }
            let file = path + "/hosts.toml"
            if Directories.exists(file) {
                return try HostsFile(reading: file)
                    .endpoints(of: registry, fallback: try own(registry, hasCertificates: false))
            }
            tls = try Self.certificates(in: path)
            break
        }
        let hasCertificates = !tls.certificateAuthorities.isEmpty || tls.clientCertificate != nil
        return [Endpoint(root: try own(registry, hasCertificates: hasCertificates), tls: tls)]
    }

    /// The registry's own server; without TLS on this machine, unless there are certificates for it.
    private func own(_ registry: String, hasCertificates: Bool) throws(OCIError) -> WebAddress {
        let host = registry == Reference.defaultRegistry ? "registry-1.docker.io" : registry
        guard let secure = WebAddress("https://\(host)/v2"), let plain = WebAddress("http://\(host)/v2")
        else {
            throw .badReference(registry, reason: "it is not the name of a registry")
        }
        let isPlain = settings.plainHTTPHosts.contains(registry) || (secure.isLoopback && !hasCertificates)
        return isPlain ? plain : secure
    }

    /// The directory for a registry; ports are also written as `HOST_PORT_`, for file systems without colons.
    private static func directory(for registry: String, in parent: String) -> String? {
        var names = [registry]
        if let colon = registry.lastIndex(of: ":"), !registry[colon...].contains("]") {
            names.insert("\(registry[..<colon])_\(registry[registry.index(after: colon)...])_", at: 0)
        }
        names.append("_default")
        return names.map { parent + "/" + $0 }.first { Directories.isDirectory($0) }
    }

    /// Docker's form: `*.crt` are authorities, `*.cert` with `*.key` of the same name is shown to the server.
    private static func certificates(in directory: String) throws(OCIError) -> TLSOptions {
        var tls = TLSOptions()
        let names = try mapped { () throws(SystemError) in try Directories.names(in: directory) }
        tls.certificateAuthorities = names.filter { $0.hasSuffix(".crt") }.map { directory + "/" + $0 }
        if let name = names.first(where: { $0.hasSuffix(".cert") }) {
            let key = name.dropLast(5) + ".key"
            if !names.contains(String(key)) {
                throw .badConfiguration(directory + "/" + name, reason: "there is no \(key) beside it")
            }
            (tls.clientCertificate, tls.clientKey) = (directory + "/" + name, directory + "/" + key)
        }
        return tls
    }
}
