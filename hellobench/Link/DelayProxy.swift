// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An address and port of TCP over IPv4.
struct Endpoint: CustomStringConvertible {
    let host: String
    let port: UInt16

    init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        host = String(parts[0])
        self.port = port
    }

    var description: String { "\(host):\(port)" }

    func withAddress<T>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> T) throws(BenchError) -> T {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        if inet_pton(AF_INET, host, &address.sin_addr) != 1 {
            throw .call("inet_pton", subject: description, code: EINVAL)
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// Stands before a server and lets everything arrive later, as a longer line would.
///
/// A kernel without netem cannot delay packets, so this delays bytes: each by half the round trip, and the first of a
/// connection by a whole one more, which setting up the connection over that line would have taken.
final class DelayProxy: Sendable {
    private let listener: Int32
    private let target: Endpoint
    private let roundTripNanoseconds: Int64

    init(listen: Endpoint, target: Endpoint, roundTripMilliseconds: Double) throws(BenchError) {
        self.target = target
        roundTripNanoseconds = Int64(roundTripMilliseconds * 1e6)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if listener < 0 { throw .last("socket", listen.description) }
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let socket = listener
        let bound = try listen.withAddress { bind(socket, $0, $1) }
        if bound < 0 || Glibc.listen(listener, 512) < 0 {
            let error = BenchError.last("bind", listen.description)
            close(listener)
            throw error
        }
    }

    /// Serves until the program ends.
    func serve() throws(BenchError) {
        signal(SIGPIPE, SIG_IGN)
        Self.sleepPrecisely()
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                throw .last("accept", "\(target)")
            }
            pthread_detach(PlainThread.start { [self] in carry(client) })
        }
    }

    /// The default slack of 50 us would be a tenth of the shortest delay; later threads inherit what is set here.
    private static func sleepPrecisely() {
        guard let file = fopen("/proc/self/timerslack_ns", "we") else { return }
        fputs("1", file)
        fclose(file)
    }

    private func carry(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let connected = try? target.withAddress { connect(server, $0, $1) }
        guard server >= 0, connected == 0 else {
            close(client)
            if server >= 0 { close(server) }
            return
        }
        for descriptor in [client, server] {
            var yes: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        }
        let there = DelayLine(
            from: client, to: server, delayNanoseconds: roundTripNanoseconds / 2,
            firstDelayNanoseconds: roundTripNanoseconds)
        let back = DelayLine(from: server, to: client, delayNanoseconds: roundTripNanoseconds / 2)
        let threads = [
            PlainThread.start { there.receive() }, PlainThread.start { there.deliver() },
            PlainThread.start { back.receive() }, PlainThread.start { back.deliver() },
        ]
        for thread in threads { pthread_join(thread, nil) }
        close(client)
        close(server)
    }
}

/// A thread of its own for something that blocks.
enum PlainThread {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Whoever starts it joins or detaches it.
    static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(body)).toOpaque()
        let result = pthread_create(&thread, nil, run, work)
        precondition(result == 0, "pthread_create: \(result)")
        return thread
    }

    private static let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { work in
        if let work { Unmanaged<Work>.fromOpaque(work).takeRetainedValue().body() }
        return nil
    }
}
