// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@testable import Daemon

@Suite("Operations and locks", .timeLimit(.minutes(1)))
struct OperationTests {
    private struct Odd: Error, CustomStringConvertible {
        var description: String { "odd" }
    }

    @Test("what the work throws is the operation's failure")
    func failure() throws {
        let table = OperationTable()
        let operation = try table.start { _ in throw Odd() }
        let info = operation.wait(milliseconds: 5000)
        #expect(info.state == .failed)
        #expect(info.failure == Failure(.failed, "odd"))
        #expect(try table.operation(operation.id) === operation)
        #expect(table.running().isEmpty)
    }

    @Test("a cancelled operation notices")
    func cancel() throws {
        let table = OperationTable()
        let operation = try table.start { operation in
            while !operation.isCancelled { operation.progress(phase: "busy", doneBytes: 1, totalBytes: 2) }
            throw Failure(.cancelled, "cancelled")
        }
        #expect(operation.wait(milliseconds: 20).state == .running)
        #expect(table.running().count == 1)
        operation.cancel()
        #expect(operation.wait(milliseconds: 5000).failure?.code == .cancelled)
    }

    @Test("no more than the limit run at once")
    func limit() throws {
        let table = OperationTable()
        let gate = Monitor(false)
        for _ in 0..<OperationTable.limit { _ = try table.start { _ in _ = gate.wait { $0 ? true : nil } } }
        #expect(throws: Failure.self) { try table.start { _ in } }
        gate.withLock { $0 = true }
        table.cancelAll(seconds: 0.1)
    }

    @Test("unknown operations")
    func unknown() {
        #expect(throws: Failure.self) { try OperationTable().operation("o1") }
    }

    @Test("one key excludes itself and no other")
    func keys() throws {
        let locks = KeyLocks()
        let order = Monitor<[String]>([])
        let inside = Monitor(false)
        let thread = try NamedThread("keys") {
            locks.with(["a"]) {
                inside.withLock { $0 = true }
                _ = order.wait(until: .now.advanced(bySeconds: 5)) { $0.contains("b") ? true : nil }
                order.withLock { $0.append("a") }
            }
        }
        _ = inside.wait { $0 ? true : nil }
        locks.with(["b"]) { order.withLock { $0.append("b") } }
        locks.with(["a", "b"]) { order.withLock { $0.append("both") } }
        thread.join()
        #expect(order.withLock { $0 } == ["b", "a", "both"])
    }

    @Test("a process is known by its start as well as by its number")
    func processes() throws {
        let child = try Subprocess.spawn(["sleep", "60"], output: 1, errors: 2)
        let identity = ProcessIdentity(child)
        #expect(identity.isAlive)
        #expect(ProcessIdentity(getpid()).isAlive)
        kill(child, SIGKILL)
        _ = try Subprocess.wait(for: child, "sleep")
        #expect(!identity.isAlive)
        #expect(!ProcessIdentity(0).isAlive)
    }
}
