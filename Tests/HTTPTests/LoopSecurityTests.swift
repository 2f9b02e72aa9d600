// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import Testing

@Suite("Transfer loop: TLS, redirects, proxies", .timeLimit(.minutes(2)))
struct LoopSecurityTests {
    private func isTLS(_ error: HTTPError?) -> Bool {
        if case .tls = error { true } else { false }
    }

    private func error(_ body: () throws(HTTPError) -> Response) -> HTTPError? {
        do throws(HTTPError) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    @Test("a server is believed when its authority is named, or when nobody asks")
    func authorities() throws {
        let server = try Nginx()
        try server.directory.file("files/a", Array("hello".utf8))
        let loop = try TransferLoop()
        defer { loop.stop() }
        let request = Request("GET", server.tls + "/a")
        #expect(isTLS(error { () throws(HTTPError) in try loop.perform(request) }))
        let trusting = TransferOptions(tls: .init(certificateAuthorities: [server.authority]))
        #expect(try loop.perform(request, trusting).body == Array("hello".utf8))
        #expect(isTLS(error { () throws(HTTPError) in try loop.perform(request) }))
        #expect(try loop.perform(request, .init(tls: .init(skipVerify: true))).status == 200)
        let missing = TransferOptions(tls: .init(certificateAuthorities: ["/none.pem"]))
        let reason = "/none.pem: stat: no such file or directory"
        #expect(
            error { () throws(HTTPError) in try loop.perform(request, missing) }
                == .tls(server.tls + "/a", reason: reason))
    }

    @Test("a server that asks for a certificate gets it")
    func clientCertificates() throws {
        let server = try Nginx()
        try server.directory.file("files/a", Array("hello".utf8))
        let loop = try TransferLoop()
        defer { loop.stop() }
        let request = Request("GET", server.mutual + "/a")
        var options = TransferOptions(tls: .init(certificateAuthorities: [server.authority]))
        #expect(try loop.perform(request, options).status == 400)
        options.tls.clientCertificate = server.clientCertificate
        options.tls.clientKey = server.clientKey
        #expect(try loop.perform(request, options).status == 200)
    }

    @Test("redirects are followed so far; Authorization stays with its host")
    func redirects() throws {
        let other = try Nginx()
        try other.directory.file("files/a", Array("there".utf8))
        let locations = """
            location /same { return 302 /a; }
            location /other { return 307 \(other.plain)/a?X-Signature=1; }
            location /circle { return 302 /circle; }
            location /down { return 302 \(other.plain)/a; }
            """
        let server = try Nginx(locations: locations)
        try server.directory.file("files/a", Array("here".utf8))
        let loop = try TransferLoop()
        defer { loop.stop() }
        let secret = [(name: "Authorization", value: "Bearer.secret")]
        let same = try loop.perform(Request("GET", server.plain + "/same", headers: secret))
        #expect(same.body == Array("here".utf8))
        #expect(try server.logLines().filter { $0.hasSuffix("Bearer.secret") }.count == 2)
        let collector = Collector()
        loop.start(Request("GET", server.plain + "/other", headers: secret), to: collector)
        let state = try #require(collector.wait())
        #expect(state.body == Array("there".utf8))
        #expect(state.head?.effectiveURL == other.plain + "/a?X-Signature=1")
        #expect(try other.logLines().allSatisfy { !$0.contains("secret") })
        let circle = server.plain + "/circle"
        #expect(throws: HTTPError.tooManyRedirects(circle, limit: 3)) {
            try loop.perform(Request("GET", circle), .init(redirects: 3))
        }
        let unfollowed = try loop.perform(Request("GET", server.plain + "/same"), .init(redirects: 0))
        #expect(unfollowed.status == 302 && unfollowed.header("location")?.hasSuffix("/a") == true)
        let trusting = TransferOptions(tls: .init(certificateAuthorities: [server.authority]))
        let down = error { () throws(HTTPError) in
            try loop.perform(Request("GET", server.tls + "/down"), trusting)
        }
        guard case .failed = down else { throw down ?? .stopped("followed to http") }
    }

    /// Connects to what it is asked for, or answers with a refusal.
    private func connectProxy(_ seen: Monitor<[String]>, refusal: String? = nil) throws -> Loopback {
        try Loopback { client in
            guard let head = client.request()?.head else { return }
            seen.withLock { $0.append(head) }
            if let refusal { return _ = client.send(refusal) }
            guard let port = head.split(separator: " ")[1].split(separator: ":").last.flatMap({ Int($0) }),
                let server = Loopback.connect(port)
            else { return }
            client.send("HTTP/1.1 200 OK\r\n\r\n")
            let back = try? NamedThread("proxy-back") {
                while let bytes = server.receive(), client.send(bytes) {}
                shutdown(client.descriptor, Int32(SHUT_RDWR))
            }
            while let bytes = client.receive(), server.send(bytes) {}
            shutdown(server.descriptor, Int32(SHUT_RDWR))
            back?.join()
            close(server.descriptor)
        }
    }

    @Test("a proxy connects to the server; one that refuses is named as the cause")
    func proxies() throws {
        let server = try Nginx()
        try server.directory.file("files/a", Array("hello".utf8))
        let seen = Monitor<[String]>([])
        let proxy = try connectProxy(seen)
        let loop = try TransferLoop(.init(proxy: proxy.url))
        defer { loop.stop() }
        let tls = TLSOptions(certificateAuthorities: [server.authority])
        #expect(try loop.perform(Request("GET", server.tls + "/a"), .init(tls: tls)).status == 200)
        #expect(seen.withLock { $0.first?.hasPrefix("CONNECT 127.0.0.1:\(server.tlsPort) ") } == true)
        // A transfer may go its own way.
        #expect(try loop.perform(Request("GET", server.plain + "/a"), .init(proxy: "")).status == 200)
        #expect(seen.withLock { $0.count } == 1)
        let refusing = try connectProxy(seen, refusal: "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        let refused = error { () throws(HTTPError) in
            try loop.perform(Request("GET", server.tls + "/a"), .init(tls: tls, proxy: refusing.url))
        }
        #expect(refused == .proxy(server.tls + "/a", reason: "it answered with status 407"))
    }

    @Test("a header cannot smuggle in another")
    func headerInjection() throws {
        let loop = try TransferLoop()
        defer { loop.stop() }
        let request = Request("GET", "http://127.0.0.1:1/", headers: [("X-One", "a\r\nX-Two: b")])
        let error = error { () throws(HTTPError) in try loop.perform(request) }
        guard case .failed(_, let reason) = error else { throw error ?? .stopped("sent") }
        #expect(reason.contains("line break"))
    }

    @Test("addresses in messages hold no query and no password")
    func redaction() {
        #expect(redactedURL("https://user:pass@host.test/a/b?X-Signature=1#f") == "https://host.test/a/b")
        #expect(redactedURL("http://host.test?token=1") == "http://host.test")
    }
}
