// SPDX-License-Identifier: Apache-2.0

import Base

/// Hands values from one thread to another and makes the first wait while too many are under way.
final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        var values: [Element] = []
        var isClosed = false
    }

    private let limit: Int
    private let monitor = Monitor(State())

    init(limit: Int) {
        precondition(limit > 0, "a queue has room for something")
        self.limit = limit
    }

    /// Waits for room; false when the queue has been closed, and the value is dropped.
    func push(_ value: Element) -> Bool {
        monitor.wait { state in
            if state.isClosed { return false }
            if state.values.count >= limit { return nil }
            state.values.append(value)
            return true
        }
    }

    /// Waits for a value; nil when the queue is closed and empty.
    func pop() -> Element? {
        let result: Element?? = monitor.wait { state in
            if !state.values.isEmpty { return .some(state.values.removeFirst()) }
            return state.isClosed ? .some(nil) : nil
        }
        return result ?? nil
    }

    /// No more values come; those that are there may still be taken, unless they are dropped.
    func close(dropping: Bool = false) {
        monitor.withLock { state in
            state.isClosed = true
            if dropping { state.values.removeAll() }
        }
    }
}

/// A piece of a layer's plain bytes; one thread at a time has it.
final class PlainBuffer: @unchecked Sendable {
    // Unchecked because: the queues hand it from thread to thread, and nobody keeps it.
    static let capacity = 512 * 1024

    let bytes: UnsafeMutableRawBufferPointer
    var count = 0

    init() {
        bytes = .allocate(byteCount: Self.capacity, alignment: 64)
    }

    deinit { bytes.deallocate() }

    var filled: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<count]) }
}
