// SPDX-License-Identifier: Apache-2.0

import Base

/// Blocking work side by side, on plain threads.
enum Parallel {
    /// Does the work for every item and returns the results in order; `limit` at a time.
    ///
    /// After a failure no further item is begun; when all that were have ended, the first failure in the order
    /// of the items is thrown.
    static func map<Item: Sendable, T: Sendable>(
        _ items: [Item], limit: Int = 8, _ body: @escaping @Sendable (Item) throws(DistributionError) -> T
    ) throws(DistributionError) -> [T] {
        precondition(limit > 0)
        if items.count == 1 { return [try body(items[0])] }
        let state = Lock(State<T>(results: Array(repeating: nil, count: items.count)))
        let work: @Sendable () -> Void = {
            while let index = state.withLock({ $0.takeNext() }) {
                let result: Result<T, DistributionError>
                do throws(DistributionError) {
                    result = .success(try body(items[index]))
                } catch {
                    result = .failure(error)
                }
                state.withLock { $0.finish(index, result) }
            }
        }
        var threads: [NamedThread] = []
        for _ in 1..<max(1, min(limit, items.count)) {
            // Fewer threads than wished for are slower and nothing worse: this thread does the rest.
            guard let thread = try? NamedThread("slk-transfer", work) else { break }
            threads.append(thread)
        }
        work()
        for thread in threads { thread.join() }
        var values: [T] = []
        for case let result? in state.withLock({ $0.results }) { values.append(try result.get()) }
        // An item that was never begun has a failed one before it, which was thrown above.
        precondition(values.count == items.count, "every item has a result")
        return values
    }

    private struct State<T: Sendable> {
        var results: [Result<T, DistributionError>?]
        var next = 0
        var hasFailed = false

        mutating func takeNext() -> Int? {
            if hasFailed || next == results.count { return nil }
            defer { next += 1 }
            return next
        }

        mutating func finish(_ index: Int, _ result: Result<T, DistributionError>) {
            results[index] = result
            if case .failure = result { hasFailed = true }
        }
    }
}
