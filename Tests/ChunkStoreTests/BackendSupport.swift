// SPDX-License-Identifier: Apache-2.0

import Base
import Foundation
import Glibc
import HTTP
import Testing

@testable import ChunkStore

/// Programs started for a test, on a port of this machine; killed when it goes.
final class TestServer {
    let port: Int
    private let process: Int32
    private let directory: TemporaryDirectory

    var url: String { "http://127.0.0.1:\(port)" }

    private init(_ directory: TemporaryDirectory, _ port: Int, _ command: [String]) throws {
        self.port = port
        self.directory = directory
        let log = try File(open: directory.path + "/log", O_WRONLY | O_CREAT)
        process = try Subprocess.spawn(command, output: log.fd, errors: log.fd)
        // The first start may have to install the server.
        let deadline = MonotonicTime.now.advanced(bySeconds: 900)
        while !Self.answers(port) {
            try #require(kill(process, 0) == 0 && MonotonicTime.now < deadline, "\(command) does not start")
            usleep(20_000)
        }
    }

    deinit {
        kill(process, SIGTERM)
        _ = try? Subprocess.wait(for: process, "server")
    }

    /// An S3 store that forgets everything in the end.
    static func moto() throws -> TestServer {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let port = try freePort()
        return try TestServer(try TemporaryDirectory(), port, [root + "/tools/moto-server", String(port)])
    }

    /// A web server of the files in a directory.
    static func nginx(_ root: String) throws -> TestServer {
        let directory = try TemporaryDirectory()
        let (path, port) = (directory.path, try freePort())
        let text = """
            daemon off; worker_processes 1; pid \(path)/pid; user root; events { }
            http {
                access_log off; client_body_temp_path \(path)/a; proxy_temp_path \(path)/b;
                fastcgi_temp_path \(path)/c; uwsgi_temp_path \(path)/d; scgi_temp_path \(path)/e;
                server { listen 127.0.0.1:\(port); location / { root \(root); } }
            }
            """
        let file = try File(open: path + "/nginx.conf", O_WRONLY | O_CREAT)
        try file.write(Array(text.utf8), at: 0)
        return try TestServer(
            directory, port, ["nginx", "-c", path + "/nginx.conf", "-p", path, "-e", path + "/errors"])
    }

    private static func answers(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return withAddress(port) { connect(descriptor, $0, 16) } == 0
    }

    private static func freePort() throws -> Int {
        let (listener, port) = try listen()
        close(listener)
        return port
    }

    /// A socket that listens on some port.
    static func listen() throws -> (Int32, Int) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var (address, length) = (sockaddr_in(), socklen_t(16))
        let bound = withAddress(0) { bind(listener, $0, 16) }
        let named = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        if bound < 0 || named < 0 || Glibc.listen(listener, 64) < 0 {
            throw SystemError.last("bind", "127.0.0.1")
        }
        return (listener, Int(UInt16(bigEndian: address.sin_port)))
    }

    private static func withAddress<T>(_ port: Int, _ body: (UnsafePointer<sockaddr>) -> T) -> T {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
    }
}

/// Answers request after request with what a function makes of its head, each on a connection of its own.
final class LyingServer: Sendable {
    let url: String
    let heads = Monitor<[String]>([])
    private let listener: Int32

    /// - Parameter answer: raw bytes of the response, for the number of the request and its head; nil
    ///   never answers.
    init(_ answer: @escaping @Sendable (Int, String) -> [UInt8]?) throws {
        let (listener, port) = try TestServer.listen()
        self.listener = listener
        url = "http://127.0.0.1:\(port)/"
        let heads = heads
        _ = try NamedThread("lying", detached: true) {
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { break }
                _ = try? NamedThread("lying-answer", detached: true) {
                    Self.serve(connection, heads, answer)
                    close(connection)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func serve(
        _ connection: Int32, _ heads: Monitor<[String]>, _ answer: (Int, String) -> [UInt8]?
    ) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var head = ""
        while !head.hasSuffix("\r\n\r\n") {
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return }
            head += String(decoding: buffer[..<count], as: UTF8.self)
        }
        let text = head
        let number = heads.withLock { heads in
            heads.append(text)
            return heads.count
        }
        guard let bytes = answer(number, head) else {
            while recv(connection, &buffer, buffer.count, 0) > 0 {}
            return
        }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(connection, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            done += count
        }
        shutdown(connection, Int32(SHUT_WR))
    }
}

/// Keeps what a source delivers.
final class RangeKeeper: RangeReceiver {
    struct State {
        var bytes: [UInt8] = []
        var finishes: [SourceFailure?] = []
        var pauses = 0
    }

    let state = Monitor(State())
    private let flow: @Sendable (State) -> RangeFlow

    init(_ flow: @escaping @Sendable (State) -> RangeFlow = { _ in .proceed }) { self.flow = flow }

    func receive(_ bytes: UnsafeRawBufferPointer) -> RangeFlow {
        state.withLock { state in
            let flow = flow(state)
            switch flow {
            case .proceed: state.bytes.append(contentsOf: bytes)
            case .pause: state.pauses += 1
            case .stop: break
            }
            return flow
        }
    }

    func finish(_ failure: SourceFailure?) {
        state.withLock { $0.finishes.append(failure) }
    }

    /// What there is when it has finished; nil when it does not within 20 seconds.
    func wait() -> State? {
        let isDone = state.wait(until: .now.advanced(bySeconds: 20)) { $0.finishes.isEmpty ? nil : true }
        if isDone != true { return nil }
        // A second end would be a fault.
        usleep(20_000)
        return state.withLock { $0.finishes.count == 1 ? $0 : nil }
    }
}

/// Bytes of so many blocks, a multiple of 8.
func largeContent(_ seed: UInt64, blocks: Int) -> [UInt8] {
    concatenated((0..<blocks / 8).map { content(seed << 32 + UInt64($0), blocks: 8) })
}
