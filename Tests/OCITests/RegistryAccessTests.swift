// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import TestSupport
import Testing

@testable import OCI

@Suite("A real registry that asks who comes", .timeLimit(.minutes(2)))
struct RegistryAccessTests {
    private func settings(_ credentials: CredentialFixture?) -> RegistrySettings {
        var settings = RegistrySettings.forTests
        if let credentials { settings.credentialFiles = [credentials.path] }
        return settings
    }

    @Test("a password")
    func basic() throws {
        let server = try RegistryServer(.password(user: "ann", password: "s3cret:with colon"))
        let good = try CredentialFixture(host: server.host, user: "ann", password: "s3cret:with colon")
        let app = try repository(server.host, "a", settings(good))
        let bytes = sample(200_000)
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 200_000) == bytes)
        // One that has not been challenged yet, and takes the way of the fetch engine.
        let (request, options) = try repository(server.host, "a", settings(good)).blobRequest(
            Digest(hashing: bytes))
        #expect(try TestLoop.shared.get().perform(request, options).body == bytes)
        #expect(
            try readAll(repository(server.host, "a", settings(good)).openBlob(descriptor(bytes))) == bytes)

        let nobody = failure { try repository(server.host, "a", settings(nil)).ping() }
        #expect(
            nobody.contains("access denied") && nobody.contains("docker login \(server.host)"), "\(nobody)")
        let bad = try CredentialFixture(host: server.host, user: "ann", password: "wr0ng")
        for body: (Repository) throws -> Void in [
            { try $0.ping() }, { _ = try $0.manifest(.tag("x")) },
            { _ = try $0.blob(Digest(hashing: bytes), sizeBytes: 200_000) },
            { try $0.upload(Digest(hashing: [1]), bytes: [1]) },
        ] {
            let words = failure { try body(try repository(server.host, "a", settings(bad))) }
            #expect(words.contains("\"ann\"") && words.contains(bad.path), "\(words)")
            #expect(!words.contains("wr0ng"), "\(words)")
        }
    }

    private func tokenRegistry(_ tokens: TokenServer) throws -> RegistryServer {
        try RegistryServer(
            .token(
                realm: tokens.realm, service: "test-service", issuer: "test-issuer",
                certificatePath: tokens.authority.certificate))
    }

    @Test("tokens: each scope asked for once, also by many threads; both repositories for a mount")
    func tokens() throws {
        let tokens = try TokenServer(user: "ann", password: "pw", refreshToken: "rt")
        let server = try tokenRegistry(tokens)
        let good = try CredentialFixture(host: server.host, user: "ann", password: "pw")
        let app = try repository(server.host, "a", settings(good))
        let bytes = sample(100_000)
        let digest = Digest(hashing: bytes)
        try app.upload(digest, bytes: bytes)
        #expect(tokens.grants.allSatisfy { $0.user == "ann" && $0.method == "GET" })
        let (before, failures) = (tokens.grants.count, Lock(0))
        let threads = try (0..<8).map { _ in
            try NamedThread("puller") {
                if (try? app.blob(digest, sizeBytes: 100_000)) != bytes { failures.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == 0)
        // A token that allows pushing serves for pulling.
        #expect(tokens.grants.count == before)
        let other = app.client.repository(try Reference(parsing: server.host + "/b"))
        #expect(try other.mount(digest, from: "a"))
        #expect(tokens.grants.last?.scopes == ["repository:a:pull", "repository:b:pull,push"])
    }

    @Test("one question for a scope that many threads want at once")
    func singleFlight() throws {
        let tokens = try TokenServer(user: "ann", password: "pw", refreshToken: "rt", anyoneMayPull: true)
        let server = try tokenRegistry(tokens)
        let app = try repository(server.host, "a", settings(nil))
        _ = try? app.ping()
        let before = tokens.grants.count
        let other = app.client.repository(try Reference(parsing: server.host + "/new"))
        let threads = try (0..<8).map { _ in try NamedThread("asker") { _ = try? other.tags() } }
        for thread in threads { thread.join() }
        #expect(tokens.grants.count == before + 1)
        #expect(tokens.grants.last?.user == nil)
        let words = failure { try other.upload(Digest(hashing: [1]), bytes: [1]) }
        #expect(words.contains("access denied") && words.contains("docker login"), "\(words)")
    }

    @Test("an identity token is traded by POST")
    func identityToken() throws {
        let tokens = try TokenServer(user: "ann", password: "pw", refreshToken: "refresh/+=")
        let server = try tokenRegistry(tokens)
        let path = server.directory + "/auth.json"
        func app(_ token: String) throws -> Repository {
            let text = #"{"auths":{"\#(server.host)/a":{"auth":"eDp5","identitytoken":"\#(token)"}}}"#
            try Directories.replaceFile(path, with: Array(text.utf8))
            var settings = RegistrySettings.forTests
            settings.credentialFiles = [path]
            return try repository(server.host, "a", settings)
        }
        try app("refresh/+=").upload(Digest(hashing: [1]), bytes: [1])
        #expect(tokens.grants.last?.method == "POST")
        let words = failure { try app("stale-token").ping() }
        #expect(words.contains("bad refresh token") && words.contains(path), "\(words)")
        #expect(!words.contains("stale-token"))
    }

    @Test("a token that dies before its time is replaced once")
    func expiry() throws {
        let tokens = try TokenServer(user: "ann", password: "pw", refreshToken: "rt")
        let server = try tokenRegistry(tokens)
        let good = try CredentialFixture(host: server.host, user: "ann", password: "pw")
        let app = try repository(server.host, "a", settings(good))
        let bytes = sample(50_000)
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        let fresh = try repository(server.host, "a", settings(good))
        // The service says sixty seconds, the registry finds it dead.
        tokens.setLifetime(-100)
        #expect(failure { _ = try fresh.tags() }.contains("access denied"))
        tokens.setLifetime(300)
        #expect(try fresh.blob(Digest(hashing: bytes), sizeBytes: 50_000) == bytes)
    }

    @Test("TLS with an own authority, in containerd's and in Docker's form; a client certificate")
    func tls() throws {
        let server = try RegistryServer(tls: true)
        let authority = try #require(server.authority)
        let certs = server.directory + "/certs.d"
        try Directories.create(certs + "/" + server.host)
        var settings = RegistrySettings.forTests
        settings.certsDirectory = certs
        func write(_ text: String) throws {
            try Directories.replaceFile(certs + "/\(server.host)/hosts.toml", with: Array(text.utf8))
        }
        let address = "server = \"https://\(server.host)\"\n"
        try write(address)
        let words = failure { try repository(server.host, "a", settings).ping() }
        #expect(words.contains("certificate") && words.contains(certs), "\(words)")
        try write(address + "ca = \"\(authority.certificate)\"")
        try repository(server.host, "a", settings).ping()
        var trusting = settings
        trusting.certificateAuthorities = [authority.certificate]
        try write(address)
        try repository(server.host, "a", trusting).ping()
        try write(address + "skip_verify = true")
        try repository(server.host, "a", settings).ping()
        unlink(certs + "/\(server.host)/hosts.toml")
        try Directories.replaceFile(
            certs + "/\(server.host)/ca.crt",
            with: try File(open: authority.certificate, O_RDONLY).read(count: 1 << 16, at: 0))
        try repository(server.host, "a", settings).ping()
    }

    @Test("a registry that wants a certificate from its clients")
    func clientCertificate() throws {
        let server = try RegistryServer(tls: true, requireClientCertificate: true)
        let authority = try #require(server.authority)
        let pair = try authority.issue("client")
        let certs = server.directory + "/certs.d"
        try Directories.create(certs + "/" + server.host)
        var settings = RegistrySettings.forTests
        settings.certsDirectory = certs
        func write(_ text: String) throws {
            let all = "server = \"https://\(server.host)\"\nca = \"\(authority.certificate)\"\n" + text
            try Directories.replaceFile(certs + "/\(server.host)/hosts.toml", with: Array(all.utf8))
        }
        try write("")
        #expect(throws: OCIError.self) { try repository(server.host, "a", settings).ping() }
        try write("client = [[\"\(pair.certificate)\", \"\(pair.key)\"]]")
        let app = try repository(server.host, "a", settings)
        try app.ping()
        let bytes = sample(300_000)
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 300_000) == bytes)
    }
}
