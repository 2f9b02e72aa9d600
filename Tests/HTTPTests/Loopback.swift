// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Listens on a port of 127.0.0.1 and gives each connection to a handler on a thread of its own.
final class Loopback: Sendable {
    let port: Int
    private let listener: Int32

    /// - Parameter handler: the connection is closed when it returns.
    init(_ handler: @escaping @Sendable (Connection) -> Void) throws {
        listener = try Self.listen()
        port = try Self.port(of: listener)
        let listener = listener
        _ = try NamedThread("loopback", detached: true) {
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 { break }
                _ = try? NamedThread("connection", detached: true) {
                    handler(Connection(descriptor))
                    close(descriptor)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// A port that nobody listens on at the moment.
    static func freePort() throws -> Int {
        let listener = try listen()
        defer { close(listener) }
        return try port(of: listener)
    }

    private static func listen() throws -> Int32 {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var (address, one) = (self.address(port: 0), Int32(1))
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, 16) }
        }
        if result < 0 || Glibc.listen(listener, 128) < 0 { throw SystemError.last("bind", "127.0.0.1") }
        return listener
    }

    private static func port(of listener: Int32) throws -> Int {
        var (address, length) = (self.address(port: 0), socklen_t(16))
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        if result < 0 { throw SystemError.last("getsockname", "127.0.0.1") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func address(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// A connection to a port of this machine.
    static func connect(_ port: Int) -> Connection? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = address(port: port)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(descriptor, $0, 16) }
        }
        if result == 0 { return Connection(descriptor) }
        close(descriptor)
        return nil
    }
}

/// One connection of a test server.
struct Connection: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var one = Int32(1)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    /// False when the other side is gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            done += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    func receive(_ limit: Int = 65536) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(descriptor, &buffer, limit, 0)
        return count <= 0 ? nil : Array(buffer[..<count])
    }

    /// Method, path and header lines of the next request, and what has come of its body.
    func request() -> (head: String, body: [UInt8])? {
        var bytes: [UInt8] = []
        let mark = Array("\r\n\r\n".utf8)
        while true {
            for end in bytes.indices where bytes[end...].starts(with: mark) {
                return (String(decoding: bytes[..<end], as: UTF8.self), Array(bytes[(end + 4)...]))
            }
            guard let more = receive() else { return nil }
            bytes += more
        }
    }

    /// Reads and forgets until the other side closes.
    func drain() { while receive() != nil {} }

    /// Breaks the connection off: the other side gets a reset.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }
}
