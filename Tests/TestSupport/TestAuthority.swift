// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Something that a helper of the tests could not do.
public struct TestFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// A certificate authority made for one test, by openssl.
public final class TestAuthority: Sendable {
    /// Path of its certificate in PEM form.
    public let certificate: String
    /// Path of its private key.
    public let key: String
    private let directory: String

    public init(in directory: String) throws {
        self.directory = directory
        certificate = directory + "/ca.crt"
        key = directory + "/ca.key"
        _ = try output([
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test-ca",
            "-keyout", key, "-out", certificate,
        ])
    }

    /// Makes a key and a certificate for it; for servers and for clients.
    public func issue(
        _ name: String, subjectAltName: String? = nil
    ) throws -> (certificate: String, key: String) {
        let base = directory + "/" + name
        _ = try output([
            "openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=\(name)", "-keyout",
            base + ".key", "-out", base + ".csr",
        ])
        let extensions = subjectAltName.map { "subjectAltName=\($0)\n" } ?? ""
        try Directories.replaceFile(base + ".ext", with: Array(extensions.utf8))
        _ = try output([
            "openssl", "x509", "-req", "-in", base + ".csr", "-CA", certificate, "-CAkey", key, "-days", "2",
            "-CAcreateserial", "-extfile", base + ".ext", "-out", base + ".crt",
        ])
        return (base + ".crt", base + ".key")
    }
}

/// A new empty directory under TMPDIR; whoever asked for it removes it.
public func makeTestDirectory(_ name: String) throws -> String {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
    let path = "\(parent)/slacker-\(name)-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    try Directories.create(path)
    return path
}

/// Runs a program and gives what it printed; an error when it fails.
@discardableResult
public func output(_ arguments: [String]) throws -> String {
    let result = try Subprocess.run(arguments)
    if !result.succeeded { throw TestFailure("\(arguments.joined(separator: " ")): \(result.errors)") }
    return result.output
}
