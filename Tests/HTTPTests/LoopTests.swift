// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import Testing

@Suite("Transfer loop against nginx", .timeLimit(.minutes(2)))
struct LoopTests {
    private func serve(_ files: [String: [UInt8]], locations: String = "") throws -> Nginx {
        let server = try Nginx(locations: locations)
        for (name, bytes) in files { try server.directory.file("files/" + name, bytes) }
        return server
    }

    @Test("whole files, parts of them, heads, and what is not there")
    func reading() throws {
        let bytes = noise(3_000_000)
        let server = try serve(["a": bytes, "empty": []])
        let loop = try TransferLoop()
        defer { loop.stop() }
        let whole = try loop.perform(Request("GET", server.plain + "/a"))
        #expect(whole.status == 200 && whole.body == bytes)
        let part = try loop.perform(
            Request("GET", server.plain + "/a"), TransferOptions(range: 1_000_000..<1_000_010))
        #expect(part.status == 206 && part.body == Array(bytes[1_000_000..<1_000_010]))
        let head = try loop.perform(Request("HEAD", server.plain + "/a"))
        #expect(head.status == 200 && head.body.isEmpty && head.header("content-length") == "3000000")
        #expect(try loop.perform(Request("GET", server.plain + "/empty")).body.isEmpty)
        let missing = try loop.perform(Request("GET", server.plain + "/none")) { _ in true }
        #expect(missing.status == 404 && !missing.body.isEmpty)
        #expect(throws: HTTPError.bodyTooLong(server.plain + "/a", limitBytes: 100)) {
            try loop.perform(Request("GET", server.plain + "/a", responseLimitBytes: 100))
        }
    }

    @Test("a body is streamed through a bounded buffer to a slow reader; the reader may stop or throw")
    func streaming() throws {
        let bytes = noise(20_000_000)
        let server = try serve(["a": bytes])
        let loop = try TransferLoop()
        defer { loop.stop() }
        var received: [UInt8] = []
        var pieces = 0
        let response = try loop.perform(Request("GET", server.plain + "/a")) { piece in
            pieces += 1
            if pieces < 5 { usleep(50_000) }
            #expect(piece.count < 2 << 20)
            received += piece
            return true
        }
        #expect(response.status == 200 && response.body.isEmpty && received == bytes)
        #expect(throws: HTTPError.stopped(server.plain + "/a")) {
            try loop.perform(Request("GET", server.plain + "/a")) { _ in false }
        }
        #expect(throws: HTTPError.cutShort("mine")) {
            try loop.perform(Request("GET", server.plain + "/a")) { _ throws(HTTPError) in
                throw .cutShort("mine")
            }
        }
    }

    @Test("two hundred transfers at once keep to the limit and use connections again")
    func many() throws {
        let bytes = noise(200_000)
        let server = try serve(["a": bytes])
        let loop = try TransferLoop(.init(maximumPerHost: 8))
        defer { loop.stop() }
        let collectors = (0..<200).map { index in
            let collector = Collector()
            let begin = UInt64(index * 1000)
            loop.start(
                Request("GET", server.plain + "/a"), .init(group: .demand, range: begin..<begin + 1000),
                to: collector)
            return collector
        }
        for (index, collector) in collectors.enumerated() {
            #expect(collector.wait()?.body == Array(bytes[index * 1000..<index * 1000 + 1000]))
        }
        let connections = Set(try server.logLines().map { $0.split(separator: " ")[1] })
        #expect(connections.count <= 8)
    }

    @Test("small requests share one HTTP/2 connection; streams have connections of their own")
    func multiplexing() throws {
        let server = try serve(["a": noise(100_000)])
        let tls = TLSOptions(certificateAuthorities: [server.authority])
        let loop = try TransferLoop()
        defer { loop.stop() }
        let collectors = (0..<40).map { _ in Collector() }
        for collector in collectors {
            loop.start(Request("GET", server.tls + "/a"), .init(group: .demand, tls: tls), to: collector)
        }
        for collector in collectors { #expect(collector.wait()?.body.count == 100_000) }
        let lines = try server.logLines().map { $0.split(separator: " ") }
        #expect(lines.allSatisfy { $0[0] == "HTTP/2.0" })
        #expect(Set(lines.map { $0[1] }).count == 1)
        _ = try loop.perform(Request("GET", server.tls + "/a"), .init(group: .boot, tls: tls)) { _ in true }
        _ = try loop.perform(Request("GET", server.tls + "/a"), .init(tls: tls)) { _ in true }
        #expect(try server.logLines().suffix(2).allSatisfy { $0.hasPrefix("HTTP/1.1") })
    }

    @Test("a receiver that pauses on a shared connection holds up nobody, and gets every byte later")
    func pauseOnSharedConnection() throws {
        let bytes = noise(20_000_000)
        let server = try serve(["a": bytes, "b": noise(1000)])
        let tls = TLSOptions(certificateAuthorities: [server.authority])
        let loop = try TransferLoop()
        defer { loop.stop() }
        let isOpen = Lock(false)
        let slow = Collector { _ in isOpen.withLock { $0 } ? .proceed : .pause }
        let id = loop.start(Request("GET", server.tls + "/a"), .init(group: .readAhead, tls: tls), to: slow)
        _ = slow.state.wait(until: .now.advanced(bySeconds: 10)) { $0.pauses > 0 ? true : nil }
        for _ in 0..<20 {
            #expect(try loop.perform(Request("GET", server.tls + "/b"), .init(tls: tls)).body.count == 1000)
        }
        isOpen.withLock { $0 = true }
        loop.resume(id)
        let state = try #require(slow.wait())
        #expect(state.body == bytes && state.finishes == 1)
    }

    @Test("a receiver that pauses at every piece gets every byte", arguments: [TransferGroup.boot, .demand])
    func pauses(group: TransferGroup) throws {
        let bytes = noise(2_000_000)
        let server = try serve(["a": bytes])
        let loop = try TransferLoop()
        defer { loop.stop() }
        let mayTake = Lock(false)
        let collector = Collector { _ in
            mayTake.withLock { may in
                defer { may.toggle() }
                return may ? .proceed : .pause
            }
        }
        let id = loop.start(Request("GET", server.plain + "/a"), .init(group: group), to: collector)
        for seen in 0..<10_000 {
            let isOver = collector.state.wait(until: .now.advanced(bySeconds: 10)) { state -> Bool? in
                if state.result != nil { return true }
                return state.pauses > seen ? false : nil
            }
            if isOver != false { break }
            loop.resume(id)
        }
        #expect(collector.wait()?.body == bytes)
    }

    @Test("files and bytes are sent, again after a redirect, with progress")
    func uploads() throws {
        let locations = "location /moved/ { return 307 /put/moved; }"
        let server = try serve([:], locations: locations)
        let loop = try TransferLoop()
        defer { loop.stop() }
        let bytes = noise(3_000_000)
        let file = try File(open: try server.directory.file("source", bytes), O_RDONLY)
        let sent = Lock<[UInt64]>([])
        let options = TransferOptions(
            group: .upload, upload: .file(file, offset: 1000, count: 2_000_000),
            uploadProgress: { count in sent.withLock { $0.append(count) } })
        #expect(try loop.perform(Request("PUT", server.plain + "/put/a"), options).status == 201)
        #expect(sent.withLock { $0.last } == 2_000_000)
        #expect(
            try loop.perform(Request("GET", server.plain + "/put/a")).body == Array(bytes[1000..<2_001_000]))
        let moved = TransferOptions(upload: .bytes(Array(bytes[..<100_000])))
        #expect(try loop.perform(Request("PUT", server.plain + "/moved/x"), moved).status == 201)
        #expect(
            try loop.perform(Request("GET", server.plain + "/put/moved")).body == Array(bytes[..<100_000]))
        #expect(try loop.perform(Request("PUT", server.plain + "/put/b", body: [])).status == 201)
        #expect(try loop.perform(Request("DELETE", server.plain + "/put/b")).status == 204)
    }

    @Test("a file that is shorter than said is an error that names it")
    func shortUpload() throws {
        let server = try serve([:])
        let loop = try TransferLoop()
        defer { loop.stop() }
        let path = try server.directory.file("source", noise(1000))
        let file = try File(open: path, O_RDONLY)
        do throws(HTTPError) {
            _ = try loop.perform(
                Request("PUT", server.plain + "/put/a"), .init(upload: .file(file, offset: 0, count: 2000)))
            Issue.record("it was sent")
        } catch {
            guard case .uploadUnreadable(_, let reason) = error else { throw error }
            #expect(reason.contains(path))
        }
    }
}
