// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import Testing

@Suite("Transfer loop: servers that misbehave, cancelling, caps", .timeLimit(.minutes(2)))
struct LoopFaultTests {
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"

    private func outcome(
        _ options: TransferOptions = .init(), totalTimeoutMs: Int = 0,
        _ handler: @escaping @Sendable (Connection) -> Void
    ) throws -> HTTPError? {
        let server = try Loopback(handler)
        let loop = try TransferLoop()
        defer { loop.stop() }
        let collector = Collector()
        loop.start(
            Request("GET", server.url + "/", totalTimeoutMs: totalTimeoutMs), options, to: collector)
        let error = collector.error
        #expect(collector.state.withLock { $0.finishes } == 1)
        return error
    }

    private func name(_ error: HTTPError?) -> String {
        switch error {
        case nil: "none"
        case .cutShort: "cut short"
        case .reset: "reset"
        case .stalled: "stalled"
        case .timedOut: "timed out"
        case .cannotConnect: "no connection"
        case let other?: "\(other)"
        }
    }

    @Test("each way to fail has its name")
    func causes() throws {
        let ok = ok
        let cut = try outcome { connection in
            _ = connection.request()
            connection.send(ok + "abc")
        }
        #expect(name(cut) == "cut short")
        let silent = try outcome { connection in _ = connection.request() }
        #expect(name(silent) == "cut short")
        let reset = try outcome { connection in
            _ = connection.request()
            connection.send(ok + "abc")
            usleep(100_000)
            connection.reset()
        }
        #expect(name(reset) == "reset")
        let stalled = try outcome(.init(stallTimeoutMs: 300)) { connection in
            _ = connection.request()
            connection.send(ok + "abc")
            connection.drain()
        }
        #expect(name(stalled) == "stalled")
        let mute = try outcome(.init(stallTimeoutMs: 300)) { connection in connection.drain() }
        #expect(name(mute) == "stalled")
        let slow = try outcome(totalTimeoutMs: 400) { connection in
            _ = connection.request()
            connection.send(ok)
            while connection.send("x") { usleep(20_000) }
        }
        #expect(name(slow) == "timed out")
    }

    @Test("a slow server that goes on sending is no stalled one")
    func slowIsNotStalled() throws {
        let error = try outcome(.init(stallTimeoutMs: 500)) { connection in
            _ = connection.request()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            for _ in 0..<10 {
                usleep(150_000)
                connection.send("x")
            }
        }
        #expect(error == nil)
    }

    @Test("nobody listens; no such host; a head without end")
    func refusals() throws {
        let port = try Loopback.freePort()
        let loop = try TransferLoop()
        defer { loop.stop() }
        for url in ["http://127.0.0.1:\(port)/", "http://no-such-host.invalid/"] {
            let collector = Collector()
            loop.start(Request("GET", url, connectTimeoutMs: 5000), to: collector)
            let error = collector.error
            #expect(name(error) == "no connection" || name(error) == "timed out", "\(url): \(name(error))")
        }
        let endless = try outcome { connection in
            _ = connection.request()
            connection.send("HTTP/1.1 200 OK\r\n")
            while connection.send("X-Fill: \(String(repeating: "x", count: 1000))\r\n") {}
        }
        #expect(endless != nil)
    }

    @Test("a transfer is cancelled while it waits, runs, or is paused; once, and others go on")
    func cancelling() throws {
        let ok = ok
        let server = try Loopback { connection in
            _ = connection.request()
            connection.send(ok + "abc")
            connection.drain()
        }
        let loop = try TransferLoop(.init(maximumPerHost: 4))
        defer { loop.stop() }
        let collectors = (0..<20).map { $0 % 2 == 0 ? Collector() : Collector { _ in .pause } }
        let ids = collectors.map { loop.start(Request("GET", server.url + "/"), to: $0) }
        usleep(200_000)
        for id in ids {
            loop.cancel(id)
            loop.cancel(id)
        }
        for collector in collectors {
            #expect(collector.error == .stopped(server.url + "/"))
            #expect(collector.state.withLock { $0.finishes } == 1)
        }
    }

    @Test("stop ends everything, and leaves no thread and no descriptor")
    func stopping() throws {
        let ok = ok
        let server = try Loopback { connection in
            _ = connection.request()
            connection.send(ok + "abc")
            connection.drain()
        }
        // Loops of tests before this one may be there still.
        let threadsBefore = try threadNames().count { $0 == "transfers" }
        let before = try Directories.names(in: "/proc/self/fd").count
        for round in 0..<3 {
            let loop = try TransferLoop()
            let collectors = (0..<50).map { _ in Collector() }
            for collector in collectors { loop.start(Request("GET", server.url + "/"), to: collector) }
            if round > 0 { usleep(100_000) }
            loop.stop()
            for collector in collectors { #expect(collector.error == .stopped(server.url + "/")) }
            let late = Collector()
            loop.start(Request("GET", server.url + "/"), to: late)
            #expect(late.error == .stopped(server.url + "/"))
            loop.stop()
        }
        // The test server closes its ends when it notices.
        for _ in 0..<100 where try Directories.names(in: "/proc/self/fd").count > before { usleep(20_000) }
        #expect(try Directories.names(in: "/proc/self/fd").count <= before)
        #expect(try threadNames().count { $0 == "transfers" } <= threadsBefore)
    }

    private func threadNames() throws -> [String] {
        try Directories.names(in: "/proc/self/task").compactMap { task in
            guard let file = try? File(open: "/proc/self/task/\(task)/comm", O_RDONLY) else { return nil }
            return (try? file.read(count: 64, at: 0)).map {
                String(decoding: $0.dropLast(), as: UTF8.self)
            }
        }
    }

    @Test("a loop may be stopped, and dropped, by what one of its receivers does")
    func stopFromWithin() throws {
        final class Stopper: TransferReceiver {
            let loop: Lock<TransferLoop?>
            let isDone = Monitor(false)
            init(_ loop: TransferLoop) { self.loop = Lock(loop) }
            func begin(_ head: ResponseHead) -> Bool { true }
            func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow { .proceed }
            func finish(_ result: Result<TransferSummary, HTTPError>) {
                loop.withLock {
                    $0?.stop()
                    $0 = nil
                }
                isDone.withLock { $0 = true }
            }
        }
        let port = try Loopback.freePort()
        var loop: TransferLoop? = try TransferLoop()
        let stopper = Stopper(try #require(loop))
        loop?.start(Request("GET", "http://127.0.0.1:\(port)/"), to: stopper)
        loop = nil
        #expect(stopper.isDone.wait(until: .now.advanced(bySeconds: 10)) { $0 ? true : nil } == true)
    }

    @Test("a cap holds for all transfers of its group together, and for no other")
    func caps() throws {
        let server = try Nginx()
        try server.directory.file("files/a", noise(1_000_000))
        let loop = try TransferLoop()
        defer { loop.stop() }
        loop.setLimit(1_000_000, for: .background)
        let begin = MonotonicTime.now
        let slow = (0..<2).map { _ in Collector() }
        for collector in slow {
            loop.start(Request("GET", server.plain + "/a"), .init(group: .background), to: collector)
        }
        for _ in 0..<10 { _ = try loop.perform(Request("GET", server.plain + "/a"), .init(group: .demand)) }
        #expect(MonotonicTime.now.seconds(since: begin) < 1)
        for collector in slow { #expect(collector.wait()?.body.count == 1_000_000) }
        let seconds = MonotonicTime.now.seconds(since: begin)
        #expect((1.5...4).contains(seconds), "\(seconds) s")
        // Lifting a cap lets those go on that wait.
        loop.setLimit(1000, for: .boot)
        let lifted = Collector()
        loop.start(Request("GET", server.plain + "/a"), .init(group: .boot), to: lifted)
        usleep(200_000)
        loop.setLimit(nil, for: .boot)
        #expect(lifted.wait(5)?.body.count == 1_000_000)
    }

    @Test("uploads keep to their cap too")
    func uploadCap() throws {
        let server = try Nginx()
        let loop = try TransferLoop()
        defer { loop.stop() }
        loop.setLimit(2_000_000, for: .upload)
        let begin = MonotonicTime.now
        let options = TransferOptions(group: .upload, upload: .bytes(noise(3_000_000)))
        #expect(try loop.perform(Request("PUT", server.plain + "/put/a"), options).status == 201)
        #expect((1.0...3).contains(MonotonicTime.now.seconds(since: begin)))
    }

    @Test("what somebody waits for goes before what has time")
    func urgency() throws {
        let order = Monitor<[String]>([])
        let server = try Loopback { connection in
            while let head = connection.request()?.head {
                order.withLock { $0.append(String(head.split(separator: " ")[1])) }
                usleep(100_000)
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            }
        }
        let loop = try TransferLoop(.init(maximumPerHost: 4))
        defer { loop.stop() }
        let fill = (0..<12).map { _ in Collector() }
        for collector in fill {
            loop.start(Request("GET", server.url + "/fill"), .init(group: .background), to: collector)
        }
        usleep(50_000)
        let begin = MonotonicTime.now
        #expect(try loop.perform(Request("GET", server.url + "/now"), .init(group: .demand)).status == 200)
        #expect(MonotonicTime.now.seconds(since: begin) < 0.4)
        for collector in fill { #expect(collector.wait()?.body.count == 1) }
        #expect(order.withLock { $0.prefix(5).contains("/now") })
    }

    @Test("a kept connection that the server has closed meanwhile is no error")
    func closedWhileIdle() throws {
        let server = try Loopback { connection in
            _ = connection.request()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            usleep(50_000)
        }
        let loop = try TransferLoop()
        defer { loop.stop() }
        for _ in 0..<5 {
            #expect(try loop.perform(Request("PUT", server.url + "/", body: [1, 2])).status == 200)
            usleep(100_000)
        }
    }
}
