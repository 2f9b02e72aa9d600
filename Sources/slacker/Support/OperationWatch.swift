// SPDX-License-Identifier: Apache-2.0

import Daemon
import Glibc

/// Shows an operation of the daemon until it ends; Ctrl-C cancels it.
struct OperationWatch {
    let client: ControlClient
    let interrupt: Interrupt
    /// What the operation is called when it is cancelled, such as `app: import`.
    let name: String

    /// Milliseconds that the daemon may hold an answer: often enough to look alive, and to notice Ctrl-C.
    private static let waitMs = 200

    /// - Parameter interrupt: made before the operation was begun, so that no signal is missed.
    init(_ client: ControlClient, _ interrupt: Interrupt, name: String) {
        self.client = client
        self.interrupt = interrupt
        self.name = name
    }

    /// The operation's end; throws what it failed with.
    func wait(_ begun: OperationInfo) throws -> OperationInfo {
        var operation = begun
        var bar = ProgressBar()
        while operation.state == .running {
            if let signal = interrupt.received() {
                bar.clear()
                _ = try? client.call("DELETE", "operations/\(begun.id)", as: Done.self)
                Output.error("\(name) cancelled")
                throw ExitStatus(code: 128 + signal)
            }
            operation = try client.call(
                "GET", "operations/\(begun.id)?wait_ms=\(Self.waitMs)", as: OperationInfo.self)
            bar.show(operation)
        }
        bar.clear()
        if let failure = operation.failure { throw failure }
        return operation
    }
}

/// Notices SIGINT and SIGTERM without ending the program at once.
struct Interrupt {
    private var signals = sigset_t()

    init() {
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// The signal that has come since, if any.
    func received() -> Int32? {
        var set = signals
        var now = timespec()
        let signal = sigtimedwait(&set, nil, &now)
        return signal > 0 ? signal : nil
    }

    /// Lets signals have their usual effect again.
    func end() {
        var set = signals
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }
}
