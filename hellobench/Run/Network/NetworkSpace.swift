// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A network namespace that lives as long as this object, or a process in it.
///
/// It has no name in the file system, so nothing of it is left whatever becomes of this program. Containers
/// get one each: their ports are free, and what answers on a port is surely the container that is being
/// measured.
final class NetworkSpace: Sendable {
    private let descriptor: Int32

    /// Makes a namespace in which nothing but the loopback interface is up.
    init(_ commands: Commands) throws {
        descriptor = try PlainThread.result { () throws(BenchError) in
            if NamespaceCalls.unshareNetwork() < 0 { throw .last("unshare", "network namespace") }
            let descriptor = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
            if descriptor < 0 { throw .last("open", "/proc/thread-self/ns/net") }
            return descriptor
        }
        try inside { try commands.run(["ip", "link", "set", "lo", "up"]) }
    }

    deinit { close(descriptor) }

    /// A path by which other programs may enter it, from whatever mount namespace that has `/proc`.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    /// The number by which `/proc/PID/ns/net` names it.
    var inode: UInt64 {
        var info = stat()
        return fstat(descriptor, &info) == 0 ? UInt64(info.st_ino) : 0
    }

    /// Runs `body` on a thread that is in the namespace; what it starts is in it, too.
    @discardableResult
    func inside<T>(_ body: () throws -> T) throws -> T {
        try withoutActuallyEscaping(body) { escaping in
            let work = Unchecked(escaping)
            return try PlainThread.result { [descriptor] in
                if NamespaceCalls.enter(descriptor) < 0 {
                    throw BenchError.last("setns", "network namespace")
                }
                return Unchecked(try work.value())
            }.value
        }
    }
}

/// Two calls that Swift's module of the C library lacks.
private enum NamespaceCalls {
    private static let network: Int32 = 0x4000_0000

    static func unshareNetwork() -> Int32 {
        guard let symbol = dlsym(nil, "unshare") else { return missing() }
        return unsafeBitCast(symbol, to: (@convention(c) (Int32) -> Int32).self)(network)
    }

    static func enter(_ descriptor: Int32) -> Int32 {
        guard let symbol = dlsym(nil, "setns") else { return missing() }
        return unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)(descriptor, network)
    }

    private static func missing() -> Int32 {
        errno = ENOSYS
        return -1
    }
}

/// A value that a thread hands to another one, which alone uses it from then on.
struct Unchecked<Value>: @unchecked Sendable {
    // Unchecked because: whoever gave it away waits for the other thread's end.
    let value: Value

    init(_ value: Value) { self.value = value }
}

extension PlainThread {
    /// Runs `body` on a thread of its own and waits for what it gives.
    static func result<T: Sendable, E: Error>(_ body: @escaping @Sendable () throws(E) -> T) throws(E) -> T {
        let outcome = Monitor<Result<T, E>?>(nil)
        let thread = start {
            let result = Result { () throws(E) in try body() }
            outcome.use { $0 = result }
        }
        pthread_join(thread, nil)
        guard let result = outcome.use({ $0 }) else {
            preconditionFailure("a thread that ended gave nothing")
        }
        return try result.get()
    }
}
