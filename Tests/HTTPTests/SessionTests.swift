// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Testing

@Suite("Session", .timeLimit(.minutes(1)))
struct SessionTests {
    private func ok(_ body: String, headers: String = "") -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\(headers)\r\n\(body)"
    }

    @Test("method, path, headers and body reach the server; status, headers and body come back")
    func exchange() throws {
        let server = try ScriptedServer([
            "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\nX-Kind:  exists \r\nConnection: close\r\n\r\n{}"
        ])
        let request = Request(
            "PUT", "http://slacker/v1/a%2Fb?c=1", headers: [("X-One", "1")], body: Array("hello".utf8),
            unixSocketPath: server.socketPath)
        let response = try Session().perform(request)
        #expect(response.status == 409)
        #expect(!response.isSuccess)
        #expect(response.header("x-kind")?.hasPrefix("exists") == true)
        #expect(response.body == Array("{}".utf8))
        let seen = try #require(server.requests(1).first)
        #expect(seen.hasPrefix("PUT /v1/a%2Fb?c=1 HTTP/1.1\r\n"))
        #expect(seen.contains("X-One: 1\r\n"))
        #expect(seen.hasSuffix("\r\n\r\nhello"))
    }

    @Test("a session serves request after request", arguments: ["GET", "DELETE", "POST"])
    func reuse(method: String) throws {
        let server = try ScriptedServer([ok("one"), ok("two")])
        let session = try Session()
        for expected in ["one", "two"] {
            let request = Request(method, "http://slacker/", unixSocketPath: server.socketPath)
            #expect(try session.perform(request).body == Array(expected.utf8))
        }
        #expect(server.requests(2).allSatisfy { $0.hasPrefix("\(method) / ") })
    }

    @Test("a body is streamed piece by piece and may be stopped")
    func streaming() throws {
        let long = String(repeating: "x", count: 300_000)
        let server = try ScriptedServer([ok(long), ok(long)])
        var count = 0
        let request = Request("GET", "http://slacker/", unixSocketPath: server.socketPath)
        let response = try Session().perform(request) { bytes in
            count += bytes.count
            return true
        }
        #expect(count == 300_000)
        #expect(response.body.isEmpty)
        #expect(throws: HTTPError.stopped(server.socketPath)) {
            try Session().perform(request) { _ in false }
        }
    }

    @Test("the body of an error is kept although a stream was asked for")
    func errorBodyIsKept() throws {
        let server = try ScriptedServer(["HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nwhy"])
        let request = Request("GET", "http://slacker/", unixSocketPath: server.socketPath)
        let response = try Session().perform(request) { _ in false }
        #expect(response.body == Array("why".utf8))
    }

    @Test("nobody there")
    func noListener() throws {
        let request = Request("GET", "http://slacker/", unixSocketPath: "/var/tmp/slacker-no-such-socket")
        #expect(throws: HTTPError.cannotConnect("/var/tmp/slacker-no-such-socket")) {
            try Session().perform(request)
        }
    }

    @Test("a server that never answers meets the deadline")
    func deadline() throws {
        let server = try ScriptedServer([nil])
        let request = Request(
            "GET", "http://slacker/", unixSocketPath: server.socketPath, totalTimeoutMs: 200)
        #expect(throws: HTTPError.timedOut(server.socketPath)) { try Session().perform(request) }
    }

    @Test(
        "an answer that is cut short is an error",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxyz"])
    func cutShort(answer: String) throws {
        let server = try ScriptedServer([answer])
        let request = Request("GET", "http://slacker/", unixSocketPath: server.socketPath)
        #expect(throws: HTTPError.cutShort(server.socketPath)) { try Session().perform(request) }
    }

    @Test("a body above the limit is an error")
    func limit() throws {
        let server = try ScriptedServer([ok("0123456789")])
        let request = Request(
            "GET", "http://slacker/", unixSocketPath: server.socketPath, responseLimitBytes: 9)
        #expect(throws: HTTPError.bodyTooLong(server.socketPath, limitBytes: 9)) {
            try Session().perform(request)
        }
    }
}

@Suite("Percent encoding")
struct PercentEncodingTests {
    @Test(
        "there and back",
        arguments: [
            ("a/b", "a%2Fb"), ("%", "%25"), ("a b+c", "a%20b%2Bc"), ("ü", "%C3%BC"), ("-._~", "-._~"),
        ])
    func roundTrip(plain: String, encoded: String) {
        #expect(percentEncoded(plain) == encoded)
        #expect(percentDecoded(encoded) == plain)
    }

    @Test("broken escapes", arguments: ["%", "%2", "%zz", "%+1", "%FF"])
    func broken(text: String) {
        #expect(percentDecoded(text) == nil)
    }
}
