// SPDX-License-Identifier: Apache-2.0

import Base

/// All operations that run or have ended a short while ago.
final class OperationTable: Sendable {
    private let operations = Lock([String: Operation]())
    private let events: EventLog?
    private let tallies = Lock([Tally: UInt64]())

    private struct Tally: Hashable {
        let kind: String
        let outcome: String
    }

    init(_ events: EventLog? = nil) { self.events = events }

    /// Operations that may run at the same time; each is a thread and the buffers of an import or a pull.
    static let limit = 16

    /// Runs the body on a thread of its own.
    ///
    /// What it throws becomes the operation's failure.
    /// - Parameters:
    ///   - kind: `import`, `pull` and the like.
    ///   - subject: the image that it is about.
    func start(
        _ kind: String = "work", of subject: String = "",
        _ body: @escaping @Sendable (Operation) throws -> Void
    ) throws(Failure) -> Operation {
        let operation = Operation(id: "o" + String(UInt64.random(in: 0...UInt64.max), radix: 36))
        try operations.withLock { (all) throws(Failure) in
            all = all.filter { !$0.value.isForgotten }
            if all.values.count(where: { $0.info.state == .running }) >= Self.limit {
                throw Failure(.inUse, "\(Self.limit) operations are running already; wait until one ends")
            }
            all[operation.id] = operation
        }
        events?.note("\(kind).begun", subject)
        do throws(SystemError) {
            _ = try NamedThread("operation", stackBytes: 8 << 20, detached: true) {
                do { try body(operation) } catch { operation.fail(Failure(error)) }
                self.noteEnd(of: operation, kind, subject)
            }
        } catch {
            operation.fail(Failure(error))
        }
        return operation
    }

    private func noteEnd(of operation: Operation, _ kind: String, _ subject: String) {
        let info = operation.info
        let outcome =
            info.state == .succeeded ? "succeeded" : info.failure?.code == .cancelled ? "cancelled" : "failed"
        tallies.withLock { $0[Tally(kind: kind, outcome: outcome), default: 0] += 1 }
        events?.note("\(kind).\(outcome)", subject, info.failure.map { ["reason": $0.message] } ?? [:])
    }

    /// How many of each kind have ended, and how.
    func ended() -> [(kind: String, outcome: String, count: UInt64)] {
        tallies.withLock { $0.map { ($0.key.kind, $0.key.outcome, $0.value) } }.sorted {
            ($0.0, $0.1) < ($1.0, $1.1)
        }
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
