// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A real server with a directory of files: plain, with TLS and HTTP/2, and one that asks for certificates.
final class Nginx: Sendable {
    let directory: TemporaryDirectory
    let plainPort: Int
    let tlsPort: Int
    let clientCertificatePort: Int
    private let process: Int32

    var plain: String { "http://127.0.0.1:\(plainPort)" }
    var tls: String { "https://127.0.0.1:\(tlsPort)" }
    var mutual: String { "https://127.0.0.1:\(clientCertificatePort)" }
    var authority: String { directory.path + "/ca.pem" }
    var clientCertificate: String { directory.path + "/client.pem" }
    var clientKey: String { directory.path + "/client.key" }
    /// One line for each request: protocol, connection, method, path.
    var log: String { directory.path + "/access.log" }

    /// - Parameter locations: more of its configuration, for all three ports.
    init(locations: String = "") throws {
        directory = try TemporaryDirectory()
        chmod(directory.path, 0o755)
        try Directories.create(directory.path + "/files", mode: 0o755)
        plainPort = try Loopback.freePort()
        tlsPort = try Loopback.freePort()
        clientCertificatePort = try Loopback.freePort()
        try Self.makeCertificates(directory.path)
        let ports = [
            "listen 127.0.0.1:\(plainPort);", "listen 127.0.0.1:\(tlsPort) ssl http2;",
            "listen 127.0.0.1:\(clientCertificatePort) ssl; ssl_verify_client on;",
        ]
        let text = Self.configuration(directory.path, ports, locations)
        let file = try directory.file("nginx.conf", Array(text.utf8))
        let errors = try File(open: directory.path + "/stderr", O_WRONLY | O_CREAT)
        process = try Subprocess.spawn(
            ["nginx", "-c", file, "-p", directory.path, "-e", directory.path + "/errors"], output: errors.fd,
            errors: errors.fd)
        let deadline = MonotonicTime.now.advanced(bySeconds: 20)
        while Loopback.connect(clientCertificatePort).map({ close($0.descriptor) }) == nil {
            try #require(MonotonicTime.now < deadline, "nginx does not start; see \(directory.path)/errors")
            usleep(10_000)
        }
    }

    deinit {
        kill(process, SIGTERM)
        _ = try? Subprocess.wait(for: process, "nginx")
    }

    private static func configuration(_ path: String, _ ports: [String], _ locations: String) -> String {
        var text = """
            daemon off; worker_processes 1; pid \(path)/pid; user root;
            events { worker_connections 512; }
            http {
                log_format line '$server_protocol $connection $request_method $request_uri '
                    '$http_authorization';
                access_log \(path)/access.log line;
                client_body_temp_path \(path)/body; proxy_temp_path \(path)/proxy;
                fastcgi_temp_path \(path)/a; uwsgi_temp_path \(path)/b; scgi_temp_path \(path)/c;
                client_max_body_size 0; sendfile on; tcp_nopush on;
                ssl_certificate \(path)/server.pem; ssl_certificate_key \(path)/server.key;
                ssl_client_certificate \(path)/ca.pem;

            """
        for port in ports {
            text += """
                server {
                    \(port)
                    location / { root \(path)/files; }
                    location /put/ { root \(path)/files; dav_methods PUT DELETE; create_full_put_path on; }
                    \(locations)
                }

                """
        }
        return text + "}\n"
    }

    private static func makeCertificates(_ path: String) throws {
        let new = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        ]
        func run(_ arguments: [String]) throws {
            let result = try Subprocess.run(arguments)
            try #require(result.succeeded, "\(result.errors)")
        }
        try run(
            new + [
                "-days", "2", "-subj", "/CN=test CA", "-keyout", "\(path)/ca.key", "-out", "\(path)/ca.pem",
            ])
        for (name, extra) in [
            ("server", ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]), ("client", []),
        ] {
            try run(
                new + [
                    "-days", "2", "-subj", "/CN=\(name)", "-CA", "\(path)/ca.pem", "-CAkey", "\(path)/ca.key",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "\(path)/\(name).key", "-out",
                    "\(path)/\(name).pem",
                ] + extra)
        }
    }

    /// What the access log holds so far.
    func logLines() throws -> [String] {
        let file = try File(open: log, O_RDONLY)
        let bytes = try file.read(count: Int(try file.size()), at: 0)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
