// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// A server that runs as a child process and ends with the object, and with this process however that ends.
public final class ServerProcess: Sendable {
    public let identifier: Int32
    private let name: String

    /// - Parameter logPath: takes what the server prints.
    public init(_ arguments: [String], logPath: String) throws {
        let log = try File(open: logPath, O_WRONLY | O_CREAT | O_APPEND)
        name = arguments[0]
        // The kernel sends the signal when the thread that started the child ends, so that thread never does.
        identifier = try Self.starter.run {
            try Subprocess.spawn(
                ["setpriv", "--pdeathsig", "KILL"] + arguments, output: log.fd, errors: log.fd)
        }
    }

    deinit {
        kill(identifier, SIGKILL)
        _ = try? Subprocess.wait(for: identifier, name)
    }

    /// Ends it at once; who is connected sees a reset or an end.
    public func stop() {
        kill(identifier, SIGKILL)
        // Not reaped, so that the number stays taken until the object goes.
        var information = siginfo_t()
        _ = retrying { waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) }
    }

    /// False once it has ended.
    public var isRunning: Bool {
        var information = siginfo_t()
        let result = waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT | WNOHANG)
        return result == 0 && information.si_signo == 0
    }

    /// Stops it without ending it: connections stay and nothing is answered.
    public func freeze(_ frozen: Bool) {
        kill(identifier, frozen ? SIGSTOP : SIGCONT)
    }

    private static let starter = Starter()
}

/// A thread that never ends and starts children, one after the other.
private final class Starter: Sendable {
    private struct State {
        var task: (@Sendable () -> Result<Int32, any Error>)?
        var result: Result<Int32, any Error>?
        var isBusy = false
    }

    private let state = Monitor(State())

    init() {
        let state = state
        _ = try? NamedThread("test-starter", detached: true) {
            while true {
                let task = state.wait { current in
                    defer { current.task = nil }
                    return current.task
                }
                let result = task()
                state.withLock { $0.result = result }
            }
        }
    }

    func run(_ body: @escaping @Sendable () throws -> Int32) throws -> Int32 {
        state.wait { current -> Void? in
            if current.isBusy { return nil }
            current.isBusy = true
            current.task = { Result { try body() } }
            return ()
        }
        let result = state.wait { current -> Result<Int32, any Error>? in
            guard let result = current.result else { return nil }
            current.result = nil
            current.isBusy = false
            return result
        }
        return try result.get()
    }
}

/// A port of 127.0.0.1 on which nobody listens at the moment.
public func freeLoopbackPort() throws -> UInt16 {
    let listener = try LoopbackListener()
    return listener.port
}

/// A listening socket on a port of 127.0.0.1 that the kernel chose.
final class LoopbackListener: Sendable {
    let descriptor: Int32
    let port: UInt16

    init() throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if raw < 0 { throw SystemError.last("socket", "127.0.0.1") }
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(raw, $0, length) < 0 || listen(raw, 128) < 0 || getsockname(raw, $0, &length) < 0
            }
        }
        if result {
            let error = SystemError.last("bind", "127.0.0.1")
            close(raw)
            throw error
        }
        descriptor = raw
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}

/// True once somebody accepts connections there.
func isListening(_ port: UInt16) -> Bool {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if raw < 0 { return false }
    defer { close(raw) }
    var address = loopback(port)
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}

func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}
