// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import hellobench

/// Ready conditions, each with a child process that meets it or does not.
@Suite struct WatchedProcessTests {
    private func watch(
        _ script: String, input: String? = nil, ready: Ready, limit: Double = 10
    ) throws -> (outcome: WatchedProcess.Outcome, seconds: Double) {
        let process = try WatchedProcess(["sh", "-c", script], input: input, ready: ready)
        process.askURL()
        let outcome = process.awaitReady(limitSeconds: limit)
        let waited = Monotonic.seconds(from: process.startedAt, to: Monotonic.now)
        process.abandon()
        guard case .ready(let time) = outcome else { return (outcome, waited) }
        return (outcome, Monotonic.seconds(from: process.startedAt, to: time))
    }

    private func isReady(_ outcome: WatchedProcess.Outcome) -> Bool {
        if case .ready = outcome { true } else { false }
    }

    private func reason(_ outcome: WatchedProcess.Outcome) -> String {
        if case .failed(let reason) = outcome { reason } else { "\(outcome)" }
    }

    @Test func readyAtTheEnd() throws {
        let result = try watch("sleep 0.2", ready: .exit(status: 0, output: nil))
        #expect(isReady(result.outcome))
        #expect(result.seconds >= 0.2 && result.seconds < 2)
    }

    @Test func anotherStatusIsAFailureWithLastWords() throws {
        let result = try watch("echo it is broken >&2; exit 3", ready: .exit(status: 0, output: nil))
        #expect(reason(result.outcome) == "ended with status 3: it is broken")
    }

    @Test func aWantedStatus() throws {
        #expect(isReady(try watch("exit 3", ready: .exit(status: 3, output: nil)).outcome))
    }

    @Test func theEndMustHaveSaidHello() throws {
        let ready = Ready.exit(status: 0, output: "hello")
        #expect(isReady(try watch("echo hello", ready: ready).outcome))
        #expect(
            reason(try watch("echo bye", ready: ready).outcome).contains("without having written 'hello'"))
    }

    @Test func standardInput() throws {
        let ready = Ready.exit(status: 0, output: "hello from input")
        #expect(isReady(try watch("exec sh", input: "echo hello from input\n", ready: ready).outcome))
    }

    @Test func theLineIsSeenWhenItComes() throws {
        let script = "echo starting; sleep 0.1; echo now READY to serve; sleep 30"
        let result = try watch(script, ready: .line(anyOf: ["other", "READY to"], occurrence: 1))
        #expect(isReady(result.outcome))
        #expect(result.seconds >= 0.1 && result.seconds < 2)
    }

    @Test func theSecondLineCounts() throws {
        let script = "echo READY; sleep 0.3; echo READY; sleep 30"
        let result = try watch(script, ready: .line(anyOf: ["READY"], occurrence: 2))
        #expect(isReady(result.outcome))
        #expect(result.seconds >= 0.3)
    }

    @Test func deathIsNoticedAtOnce() throws {
        let result = try watch(
            "echo no luck; exit 1", ready: .line(anyOf: ["READY"], occurrence: 1), limit: 60)
        #expect(reason(result.outcome).hasSuffix("no luck"))
        #expect(result.seconds < 5)
    }

    @Test func endOfOutputIsNoticedAtOnce() throws {
        let script = "echo quiet from here; exec >/dev/null 2>&1; sleep 30"
        let result = try watch(script, ready: .line(anyOf: ["READY"], occurrence: 1), limit: 60)
        #expect(reason(result.outcome).contains("its output ended"))
        #expect(result.seconds < 5)
    }

    @Test func timeIsLimited() throws {
        let result = try watch("sleep 30", ready: .line(anyOf: ["READY"], occurrence: 1), limit: 0.3)
        #expect(result.outcome == .timedOut)
        #expect(result.seconds < 2)
    }

    @Test func outputIsReadOnAfterTheLine() throws {
        // Far more than a pipe holds: the program ends only if somebody reads.
        let script = "echo READY; head -c 1000000 /dev/zero; echo done"
        let process = try WatchedProcess(["sh", "-c", script], ready: .line(anyOf: ["READY"], occurrence: 1))
        #expect(isReady(process.awaitReady(limitSeconds: 10)))
        #expect(process.awaitEnd(seconds: 10) != nil)
        process.abandon()
    }

    @Test func aURLThatAnswersLater() throws {
        let port = try Self.freePort()
        let script =
            "sleep 0.2; exec python3 -c 'import http.server as h\n"
            + "class H(h.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); "
            + "s.wfile.write(b\"hello from here\")\n"
            + "h.HTTPServer((\"127.0.0.1\",\(port)),H).serve_forever()'"
        let right = try watch(script, ready: .url(port: port, path: "/", body: "hello from"))
        #expect(isReady(right.outcome))
        #expect(right.seconds >= 0.2)
    }

    @Test func aProgramThatIsNotThere() {
        #expect(throws: BenchError.self) { try WatchedProcess(["/no/such/program"]) }
    }

    @Test func inputThatNoPipeHolds() {
        let input = String(repeating: "x", count: Spawn.longestInput + 1)
        #expect(throws: BenchError.self) { try WatchedProcess(["true"], input: input) }
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let endpoint = try #require(Endpoint("127.0.0.1:0"))
        _ = try endpoint.withAddress { bind(descriptor, $0, $1) }
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

@Suite struct LineMatcherTests {
    @Test func piecesAndRepetitions() {
        var matcher = LineMatcher(anyOf: ["ready"], occurrence: 2)
        matcher.take(Array("not re".utf8))
        #expect(matcher.matches == 0)
        matcher.take(Array("ady, ready again\nrea".utf8))
        #expect(matcher.matches == 1)
        #expect(!matcher.isSatisfied)
        matcher.take(Array("dy".utf8))
        #expect(matcher.isSatisfied)
        matcher.take(Array(" it is\n".utf8))
        #expect(matcher.matches == 2)
    }
}

@Suite struct URLProbeTests {
    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nhello", "hello", true),
            ("HTTP/1.1 200 OK\r\n\r\nbye", "hello", false),
            ("HTTP/1.1 302 Found\r\n\r\n", nil, true),
            ("HTTP/1.1 404 Not Found\r\n\r\nhello", "hello", false),
            ("HTTP/1.0 502\r\n\r\n", nil, false), ("220 mail\r\n", nil, false), ("", nil, false),
            ("HTTP/1.1 200 OK\r\nX: hello\r\n\r\n", "hello", false),
        ] as [(String, String?, Bool)])
    func answers(answer: String, body: String?, isRight: Bool) {
        #expect(URLProbe.isRight(Array(answer.utf8), body: body) == isRight)
    }
}
