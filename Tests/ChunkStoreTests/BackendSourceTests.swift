// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import Testing

@testable import ChunkStore

/// Sends the requests to one server, whatever the object, and counts what was refused.
private final class TestProvider: HTTPRequestProvider {
    let url: String
    let rejections = Lock(0)
    let failure: SourceFailure?

    init(_ url: String, failure: SourceFailure? = nil) {
        self.url = url
        self.failure = failure
    }

    var name: String { "test" }

    func request(for object: ObjectName) throws(SourceFailure) -> (Request, TransferOptions) {
        if let failure { throw failure }
        let token = rejections.withLock { $0 }
        return (
            Request("GET", url, headers: [("Authorization", "token-\(token)")]),
            TransferOptions(stallTimeoutMs: 300)
        )
    }

    func rejected(_ object: ObjectName, status: Int) { rejections.withLock { $0 += 1 } }
}

@Suite("Ranges of packs from HTTP servers and directories", .timeLimit(.minutes(2)))
struct BackendSourceTests {
    private let bytes = largeContent(7, blocks: 64)
    private let name = ObjectName(.pack, Digest(hashing: [7]))

    private func part(_ range: Range<Int>, of total: Int, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
        Array(
            ("HTTP/1.1 206 Partial Content\r\nContent-Length: \(length ?? body.count)\r\n"
                + "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(total)\r\n\r\n").utf8)
            + body
    }

    private func fetch(
        _ range: Range<UInt64>, _ answer: @escaping @Sendable (Int, String) -> [UInt8]?
    ) throws -> (RangeKeeper.State, [String]) {
        let (server, loop) = (try LyingServer(answer), try TransferLoop())
        defer { loop.stop() }
        let keeper = RangeKeeper()
        let source = HTTPPackSource(loop: loop, provider: TestProvider(server.url))
        _ = source.fetch(name, sizeBytes: UInt64(bytes.count), range: range, class: .demand, to: keeper)
        return (try #require(keeper.wait()), server.heads.withLock { $0 })
    }

    private func kind(_ failure: SourceFailure??) -> String {
        switch failure {
        case nil: "not finished"
        case .some(nil): "none"
        case .unavailable(_, let delay)??: "unavailable" + (delay.map { " \($0)" } ?? "")
        case .denied??: "denied"
        case .missing??: "missing"
        case .invalid??: "invalid"
        case .timedOut??: "timed out"
        case .cancelled??: "cancelled"
        }
    }

    @Test("a range comes as it is")
    func plain() throws {
        let bytes = bytes
        let (state, heads) = try fetch(100..<9000) { _, _ in
            self.part(100..<9000, of: bytes.count, Array(bytes[100..<9000]))
        }
        #expect(kind(state.finishes.first) == "none" && same(state.bytes, Array(bytes[100..<9000])))
        #expect(heads[0].contains("Range: bytes=100-8999\r\n"))
    }

    @Test("a server that ignores ranges serves what lies near the beginning")
    func ignoredRange() throws {
        let bytes = bytes
        let whole = Array("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n".utf8) + bytes
        let (state, _) = try fetch(5000..<9000) { _, _ in whole }
        #expect(kind(state.finishes.first) == "none" && same(state.bytes, Array(bytes[5000..<9000])))
        let (server, loop) = (try LyingServer { _, _ in whole }, try TransferLoop())
        defer { loop.stop() }
        let keeper = RangeKeeper()
        let source = HTTPPackSource(loop: loop, provider: TestProvider(server.url))
        _ = source.fetch(name, sizeBytes: 1 << 30, range: 2 << 20..<3 << 20, class: .demand, to: keeper)
        #expect(kind(keeper.wait()?.finishes.first) == "invalid")
    }

    @Test("lies and faults have their kind")
    func faults() throws {
        let bytes = bytes
        let total = bytes.count
        let body = Array(bytes[0..<1000])
        func outcome(_ answer: @escaping @Sendable (Int, String) -> [UInt8]?) throws -> String {
            kind(try fetch(0..<1000, answer).0.finishes.first)
        }
        func status(_ line: String, _ headers: String = "") -> @Sendable (Int, String) -> [UInt8]? {
            { _, _ in Array("HTTP/1.1 \(line)\r\nContent-Length: 0\r\n\(headers)\r\n".utf8) }
        }
        #expect(try outcome { _, _ in self.part(0..<1000, of: total, Array(body[..<900])) } == "invalid")
        #expect(try outcome { _, _ in self.part(1..<1001, of: total, body) } == "invalid")
        #expect(try outcome { _, _ in self.part(0..<1000, of: total + 1, body) } == "invalid")
        #expect(
            try outcome { _, _ in self.part(0..<1000, of: total, Array(body[..<9]), length: 1000) }
                == "unavailable")
        #expect(try outcome(status("206 Partial Content")) == "invalid")
        #expect(try outcome(status("416 Range Not Satisfiable")) == "invalid")
        #expect(try outcome(status("200 OK")) == "invalid")
        #expect(try outcome(status("404 Not Found")) == "missing")
        #expect(try outcome(status("503 Busy", "Retry-After: 7\r\n")) == "unavailable 7000")
        #expect(try outcome(status("429 Slow", "Retry-After: 1\r\n")) == "unavailable 1000")
        #expect(try outcome(status("500 Oh")) == "unavailable")
        #expect(try outcome(status("403 No")) == "denied")
        #expect(try outcome { _, _ in nil } == "timed out")
        #expect(try outcome { _, _ in [] } == "unavailable")
    }

    @Test("refused credentials are replaced once")
    func renewal() throws {
        let bytes = bytes
        let (state, heads) = try fetch(0..<1000) { number, _ in
            number == 1
                ? Array("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno".utf8)
                : self.part(0..<1000, of: bytes.count, Array(bytes[..<1000]))
        }
        #expect(kind(state.finishes.first) == "none" && state.bytes.count == 1000)
        #expect(heads[0].contains("token-0") && heads[1].contains("token-1"))
        let (refused, all) = try fetch(0..<1000) { _, _ in
            Array("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".utf8)
        }
        #expect(kind(refused.finishes.first) == "denied" && all.count == 2)
        let (loop, keeper) = (try TransferLoop(), RangeKeeper())
        defer { loop.stop() }
        let failing = HTTPPackSource(loop: loop, provider: TestProvider("", failure: .denied("no token")))
        _ = failing.fetch(name, sizeBytes: 10, range: 0..<10, class: .demand, to: keeper)
        #expect(kind(keeper.wait()?.finishes.first) == "denied")
    }

    /// Pauses at each piece, and is resumed from another thread.
    private func pausing(_ source: any PackSource, _ object: ObjectName, _ expected: [UInt8]) throws {
        let mayTake = Lock(false)
        let keeper = RangeKeeper { _ in
            mayTake.withLock { may in
                defer { may.toggle() }
                return may ? .proceed : .pause
            }
        }
        let size = UInt64(expected.count)
        let fetch = source.fetch(object, sizeBytes: size, range: 1..<size, class: .boot, to: keeper)
        for seen in 0..<100_000 {
            let isOver = keeper.state.wait(until: .now.advanced(bySeconds: 10)) { state -> Bool? in
                if !state.finishes.isEmpty { return true }
                return state.pauses > seen ? false : nil
            }
            if isOver != false { break }
            fetch.resume()
        }
        let state = try #require(keeper.wait())
        #expect(kind(state.finishes.first) == "none" && same(state.bytes, Array(expected[1...])))
    }

    /// Ends in one `cancelled`, whether it is cancelled at once, while paused, or from within.
    private func cancelling(_ source: any PackSource, _ object: ObjectName, _ size: UInt64) throws {
        let atOnce = RangeKeeper { _ in .pause }
        source.fetch(object, sizeBytes: size, range: 0..<size, class: .background, to: atOnce).cancel()
        #expect(kind(atOnce.wait()?.finishes.first) == "cancelled")
        let paused = RangeKeeper { _ in .pause }
        let fetch = source.fetch(object, sizeBytes: size, range: 0..<size, class: .background, to: paused)
        _ = paused.state.wait(until: .now.advanced(bySeconds: 10)) { $0.pauses > 0 ? true : nil }
        fetch.cancel()
        fetch.cancel()
        #expect(kind(paused.wait()?.finishes.first) == "cancelled")
        let stopped = RangeKeeper { _ in .stop }
        _ = source.fetch(object, sizeBytes: size, range: 0..<size, class: .background, to: stopped)
        #expect(kind(stopped.wait()?.finishes.first) == "cancelled")
    }

    @Test("a directory and a web server of it deliver ranges, pause, and cancel")
    func directoryAndServer() throws {
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o755)
        let root = directory.path + "/remote"
        let backend = try DirectoryBackend(directory: root)
        for path in [root, root + "/packs"] { chmod(path, 0o755) }
        let large = largeContent(1, blocks: 2560)
        let object = ObjectName(.pack, Digest(hashing: large))
        let file = try File(open: directory.path + "/large", O_RDWR | O_CREAT)
        try file.write(large, at: 0)
        try backend.put(object, contentsOf: file)
        let (server, loop) = (try TestServer.nginx(root), try TransferLoop())
        defer { loop.stop() }
        let web = try HTTPBackend(url: server.url, loop: loop)
        #expect(try web.size(of: object) == UInt64(large.count))
        #expect(same(try web.read(object, at: 5000, count: 70000), Array(large[5000..<75000])))
        #expect(try web.size(of: name) == nil)
        #expect(throws: ChunkStoreError.self) { try web.put(name, contentsOf: file) }
        let sources: [any PackSource] = [backend.packSource(), web.packSource()]
        for source in sources {
            try pausing(source, object, large)
            try cancelling(source, object, UInt64(large.count))
            let missing = RangeKeeper()
            _ = source.fetch(name, sizeBytes: 10, range: 0..<10, class: .demand, to: missing)
            #expect(kind(missing.wait()?.finishes.first) == "missing")
            let short = RangeKeeper()
            let size = UInt64(large.count) + 10
            _ = source.fetch(object, sizeBytes: size, range: size - 20..<size, class: .demand, to: short)
            #expect(kind(short.wait()?.finishes.first) == "invalid")
        }
    }

    @Test("a directory whose files hang holds up nobody who cancels, and no other file")
    func hangingDirectory() throws {
        let directory = try TemporaryDirectory()
        let backend = try DirectoryBackend(directory: directory.path)
        let file = try File(open: directory.path + "/whole", O_RDWR | O_CREAT)
        try file.write(bytes, at: 0)
        let whole = ObjectName(.pack, Digest(hashing: bytes))
        try backend.put(whole, contentsOf: file)
        // Opening a pipe that nobody writes to hangs as a file of a lost server does.
        let pipe = directory.path + "/" + name.description
        #expect(mkfifo(pipe, 0o600) == 0)
        let source = backend.packSource()
        let hanging = (0..<3).map { _ in RangeKeeper() }
        let fetches = hanging.map {
            source.fetch(name, sizeBytes: 10, range: 0..<10, class: .demand, to: $0)
        }
        usleep(100_000)
        let keeper = RangeKeeper()
        _ = source.fetch(
            whole, sizeBytes: UInt64(bytes.count), range: 0..<100, class: .background, to: keeper)
        #expect(kind(keeper.wait()?.finishes.first) == "none")
        for fetch in fetches { fetch.cancel() }
        for keeper in hanging { #expect(kind(keeper.wait()?.finishes.first) == "cancelled") }
        // Lets the threads go.
        let writer = open(pipe, O_WRONLY)
        usleep(50_000)
        close(writer)
    }

    @Test("names in a directory, and read over the web")
    func names() throws {
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o755)
        let backend = try DirectoryBackend(directory: directory.path + "/a")
        try namesBehave(backend)
        let name = "library/python:3.12 ü"
        #expect(try backend.writeName(name, bytes: [9], if: .absent))
        for path in [directory.path + "/a", directory.path + "/a/names"] { chmod(path, 0o755) }
        let (server, loop) = (try TestServer.nginx(directory.path + "/a"), try TransferLoop())
        defer { loop.stop() }
        let web = try HTTPBackend(url: server.url, loop: loop)
        #expect(try web.readName(name)?.bytes == [9])
        #expect(try web.readName("none") == nil)
        #expect(throws: ChunkStoreError.self) { try web.writeName(name, bytes: [1], if: .always) }
    }
}
