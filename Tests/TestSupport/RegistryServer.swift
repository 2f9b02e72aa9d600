// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// A real registry (Debian's docker-registry) on a free loopback port, with its data in its own directory.
///
/// Both go when the object does, and the process also when the test process dies.
public final class RegistryServer: Sendable {
    /// How the registry treats those who come.
    public enum Access: Sendable {
        case open
        /// Basic authentication for one user.
        case password(user: String, password: String)
        /// Bearer tokens, signed with the key of the certificate in the PEM file.
        case token(realm: String, service: String, issuer: String, certificatePath: String)
    }

    /// What clients write as the registry's name: `127.0.0.1:PORT`.
    public let host: String
    public let port: UInt16
    /// Holds configuration, data and log, and may hold files of the test.
    public let directory: String
    /// The authority that signed the server's certificate; nil without TLS.
    public let authority: TestAuthority?
    private let process: ServerProcess

    /// Starts a registry and waits until it listens.
    /// - Parameters:
    ///   - tls: serves HTTPS with a certificate of an authority made for it.
    ///   - requireClientCertificate: turns away who has none from that authority.
    ///   - deletion: allows that manifests and blobs are removed.
    ///   - data: where blobs lie, so that a registry may start again over old data; in `directory` when nil.
    public init(
        _ access: Access = .open, tls: Bool = false, requireClientCertificate: Bool = false,
        deletion: Bool = true, data: String? = nil
    ) throws {
        directory = try makeTestDirectory("registry")
        do {
            authority = tls ? try TestAuthority(in: directory) : nil
            (port, process) = try Self.start(in: directory) { [directory, authority] port in
                var lines = [
                    "version: 0.1", "log: {level: warn, accesslog: {disabled: true}}",
                    "storage:", "  filesystem: {rootdirectory: \"\(data ?? directory + "/data")\"}",
                    "  delete: {enabled: \(deletion)}", "http:", "  addr: 127.0.0.1:\(port)",
                ]
                if let authority {
                    let pair = try authority.issue("server", subjectAltName: "IP:127.0.0.1,DNS:localhost")
                    lines.append("  tls:")
                    lines.append("    certificate: \"\(pair.certificate)\"")
                    lines.append("    key: \"\(pair.key)\"")
                    if requireClientCertificate {
                        lines.append("    clientcas: [\"\(authority.certificate)\"]")
                    }
                }
                lines += try Self.authorization(access, in: directory)
                return lines
            }
            host = "127.0.0.1:\(port)"
        } catch {
            try? Directories.removeTree(directory)
            throw error
        }
    }

    deinit {
        process.stop()
        try? Directories.removeTree(directory)
    }

    /// Ends the registry at once; its data stays until the object goes.
    public func stop() { process.stop() }

    /// Lets it hang or go on.
    public func freeze(_ frozen: Bool) { process.freeze(frozen) }

    /// What it printed so far, for texts of failed tests.
    public var log: String { (try? Self.text(of: directory + "/log")) ?? "" }

    private static func start(
        in directory: String, _ configuration: (UInt16) throws -> [String]
    ) throws -> (UInt16, ServerProcess) {
        // Between choosing the port and using it somebody else may take it.
        for _ in 0..<5 {
            let port = try freeLoopbackPort()
            let path = directory + "/config.yml"
            try Directories.replaceFile(
                path, with: Array(try configuration(port).joined(separator: "\n").utf8))
            let server = try ServerProcess(
                ["docker-registry", "serve", path], logPath: directory + "/log")
            for _ in 0..<500 {
                if isListening(port) { return (port, server) }
                if !server.isRunning { break }
                usleep(20_000)
            }
        }
        throw TestFailure("docker-registry did not start: \((try? text(of: directory + "/log")) ?? "")")
    }

    private static func authorization(_ access: Access, in directory: String) throws -> [String] {
        switch access {
        case .open: return []
        case .password(let user, let password):
            // Perl is part of every Debian and its crypt knows bcrypt.
            let salt = "$2b$05$abcdefghijklmnopqrstuu"
            let hash = try output(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, salt])
            try Directories.replaceFile(directory + "/htpasswd", with: Array("\(user):\(hash)\n".utf8))
            return ["auth:", "  htpasswd: {realm: test, path: \"\(directory)/htpasswd\"}"]
        case .token(let realm, let service, let issuer, let certificate):
            return [
                "auth:", "  token:", "    realm: \"\(realm)\"", "    service: \"\(service)\"",
                "    issuer: \"\(issuer)\"", "    rootcertbundle: \"\(certificate)\"",
            ]
        }
    }

    private static func text(of path: String) throws -> String {
        let file = try File(open: path, O_RDONLY)
        return String(decoding: try file.read(count: 1 << 16, at: 0), as: UTF8.self)
    }
}
