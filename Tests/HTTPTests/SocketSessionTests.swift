// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Testing

@Suite("Socket session", .timeLimit(.minutes(1)))
struct SocketSessionTests {
    private func ok(_ body: String, headers: String = "Connection: close\r\n") -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    private let request = Request("GET", "http://slacker/v1/x")

    @Test("method, path, headers and body reach the server; status, headers and body come back")
    func exchange() throws {
        let server = try ScriptedServer([
            "HTTP/1.1 100 Continue\r\n\r\n"
                + "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\nX-Kind: \t exists \r\nX-None:\r\n\r\n{}"
        ])
        let request = Request(
            "PUT", "http://slacker/v1/a%2Fb?c=1", headers: [("X-One", "1")], body: Array("hello".utf8))
        let response = try SocketSession(path: server.socketPath).perform(request)
        #expect(response.status == 409)
        #expect(response.header("x-kind") == "exists")
        #expect(response.header("x-none") == "")
        #expect(response.body == Array("{}".utf8))
        let seen = try #require(server.requests(1).first)
        #expect(seen.hasPrefix("PUT /v1/a%2Fb?c=1 HTTP/1.1\r\nHost: slacker\r\n"))
        #expect(seen.contains("X-One: 1\r\n"))
        #expect(seen.contains("Content-Length: 5\r\n"))
        #expect(seen.hasSuffix("\r\n\r\nhello"))
    }

    @Test(
        "a session serves request after request, also when the server closes in between",
        arguments: ["Connection: close\r\n", ""])
    func reuse(headers: String) throws {
        let server = try ScriptedServer([ok("one", headers: headers), ok("two", headers: headers)])
        let session = SocketSession(path: server.socketPath)
        for expected in ["one", "two"] {
            #expect(try session.perform(request).body == Array(expected.utf8))
            usleep(50_000)
        }
        #expect(server.requests(2).allSatisfy { $0.hasPrefix("GET /v1/x HTTP/1.1\r\n") })
    }

    @Test("a body is streamed piece by piece and may be stopped; that of an error is kept")
    func streaming() throws {
        let long = String(repeating: "x", count: 300_000)
        let server = try ScriptedServer([
            ok(long), ok(long), "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nwhy",
        ])
        let session = SocketSession(path: server.socketPath)
        var count = 0
        let response = try session.perform(request) { bytes in
            count += bytes.count
            return true
        }
        #expect(count == 300_000)
        #expect(response.body.isEmpty)
        #expect(throws: HTTPError.stopped(server.socketPath)) { try session.perform(request) { _ in false } }
        #expect(try session.perform(request) { _ in false }.body == Array("why".utf8))
    }

    @Test("nobody there", arguments: ["/var/tmp/slacker-no-such-socket", String(repeating: "/x", count: 80)])
    func noListener(path: String) throws {
        let error = #expect(throws: HTTPError.self) { try SocketSession(path: path).perform(request) }
        guard case .cannotConnect(path, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(
        "an answer that is cut short is an error",
        arguments: ["", "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxyz"])
    func cutShort(answer: String) throws {
        let server = try ScriptedServer([answer])
        #expect(throws: HTTPError.cutShort(server.socketPath)) {
            try SocketSession(path: server.socketPath).perform(request)
        }
    }

    @Test(
        "what is not http, or has no length, is an error",
        arguments: [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ])
    func strange(answer: String) throws {
        let server = try ScriptedServer([answer])
        let error = #expect(throws: HTTPError.self) {
            try SocketSession(path: server.socketPath).perform(request)
        }
        guard case .failed = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("headers without an end, and a body above the limit, are errors")
    func limit() throws {
        let server = try ScriptedServer([
            "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 200_000), ok("0123456789"),
        ])
        let session = SocketSession(path: server.socketPath)
        #expect(throws: HTTPError.self) { try session.perform(request) }
        let limited = Request("GET", "http://slacker/", responseLimitBytes: 9)
        #expect(throws: HTTPError.bodyTooLong(server.socketPath, limitBytes: 9)) {
            try session.perform(limited)
        }
    }
}
