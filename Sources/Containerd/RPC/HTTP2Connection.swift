// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// A socket that speaks HTTP/2, with the thread that serves it.
///
/// Whoever has something to send hands it over as a closure, which runs on that thread.
final class HTTP2Connection: Sendable {
    private struct Box {
        var work: [@Sendable (HTTP2Session) -> Void] = []
        var isClosed = false
    }

    /// Seconds after which an other side that takes nothing is given up.
    private static let sendSeconds = 30

    private let socket: OwnedFD
    /// A pipe whose bytes say that there is work.
    private let wakeReader: OwnedFD
    private let wakeWriter: OwnedFD
    private let box = Lock(Box())

    /// - Parameter socket: connected.
    init(_ socket: consuming OwnedFD) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        if pipe2(&ends, O_CLOEXEC | O_NONBLOCK) < 0 { throw SystemError.last("pipe2", "connection") }
        wakeReader = OwnedFD(taking: ends[0])
        wakeWriter = OwnedFD(taking: ends[1])
        self.socket = socket
        var limit = timeval(tv_sec: Self.sendSeconds, tv_usec: 0)
        setsockopt(
            self.socket.raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Has the connection's thread do something; false when it has ended.
    @discardableResult
    func submit(_ work: @escaping @Sendable (HTTP2Session) -> Void) -> Bool {
        let isClosed = box.withLock { box in
            if !box.isClosed { box.work.append(work) }
            return box.isClosed
        }
        if !isClosed { wakeUp() }
        return !isClosed
    }

    /// Ends it; what is under way is lost.
    func close() {
        box.withLock { $0.isClosed = true }
        shutdown(socket.raw, Int32(SHUT_RDWR))
        wakeUp()
    }

    private func wakeUp() {
        // A full pipe has woken it up already.
        var byte: UInt8 = 0
        _ = write(wakeWriter.raw, &byte, 1)
    }

    /// Serves until either side ends; on the calling thread.
    /// - Parameter onEvent: on the same thread.
    func run(isServer: Bool, _ onEvent: (HTTP2Session.Event, HTTP2Session) -> Void) {
        defer { box.withLock { $0 = Box(isClosed: true) } }
        guard let session = try? HTTP2Session(isServer: isServer) else { return }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            for work in takeWork() { work(session) }
            if !session.nextOutput(send) || session.isDone { return }
            guard wait() else { return }
            let count = recv(socket.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count == 0 { return }
            if count < 0 {
                if errno == EAGAIN || errno == EINTR { continue }
                return
            }
            let isFine = buffer.withUnsafeBytes { session.receive(.init(rebasing: $0[..<count])) }
            for event in session.takeEvents() { onEvent(event, session) }
            if !isFine {
                // Says why, as far as the other side listens.
                _ = session.nextOutput(send)
                return
            }
        }
    }

    private func takeWork() -> [@Sendable (HTTP2Session) -> Void] {
        box.withLock { box in
            defer { box.work = [] }
            return box.work
        }
    }

    /// Waits for bytes or for work; false when the connection is to end.
    private func wait() -> Bool {
        var waiting = [
            pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeReader.raw, events: Int16(POLLIN), revents: 0),
        ]
        if poll(&waiting, 2, -1) < 0 { return errno == EINTR }
        var bytes = [UInt8](repeating: 0, count: 64)
        if waiting[1].revents != 0 { _ = read(wakeReader.raw, &bytes, bytes.count) }
        return box.withLock { !$0.isClosed }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.send(socket.raw, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return true
    }
}

/// Unix sockets.
enum UnixSocket {
    static func make() throws(SystemError) -> OwnedFD {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if raw < 0 { throw SystemError.last("socket", "unix") }
        return OwnedFD(taking: raw)
    }

    /// Bytes that a path may have: the address holds an end as well.
    static let pathLimit = 107

    /// Calls the body with the address of a path.
    static func withAddress<T>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(pathLimit)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
