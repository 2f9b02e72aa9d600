// SPDX-License-Identifier: Apache-2.0

import Base

/// All operations that run or have ended a short while ago.
final class OperationTable: Sendable {
    private let operations = Lock([String: Operation]())

    /// Operations that may run at the same time; each is a thread and the buffers of an import or a pull.
    static let limit = 16

    /// Runs the body on a thread of its own.
    ///
    /// What it throws becomes the operation's failure.
    func start(_ body: @escaping @Sendable (Operation) throws -> Void) throws(Failure) -> Operation {
        let operation = Operation(id: "o" + String(UInt64.random(in: 0...UInt64.max), radix: 36))
        try operations.withLock { (all) throws(Failure) in
            all = all.filter { !$0.value.isForgotten }
            if all.values.count(where: { $0.info.state == .running }) >= Self.limit {
                throw Failure(.inUse, "\(Self.limit) operations are running already; wait until one ends")
            }
            all[operation.id] = operation
        }
        do throws(SystemError) {
            _ = try NamedThread("operation", stackBytes: 8 << 20, detached: true) {
                do { try body(operation) } catch { operation.fail(Failure(error)) }
            }
        } catch {
            operation.fail(Failure(error))
        }
        return operation
    }

    func operation(_ id: String) throws(Failure) -> Operation {
        guard let operation = operations.withLock({ $0[id] }) else {
            throw Failure(
                .notFound, "operation \(id): not known; it ended long ago or the daemon was restarted")
        }
        return operation
    }

    /// Those that are running.
    func running() -> [OperationInfo] {
        operations.withLock { $0.values.map(\.info).filter { $0.state == .running } }.sorted { $0.id < $1.id }
    }

    /// Stops all and waits for their ends, at most so many seconds.
    func cancelAll(seconds: Double) {
        let all = operations.withLock { Array($0.values) }
        all.forEach { $0.cancel() }
        let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
        for operation in all where operation.info.state == .running {
            let left = deadline.seconds(since: .now)
            if left <= 0 { return }
            _ = operation.wait(milliseconds: Int(left * 1000))
        }
    }
}
