// SPDX-License-Identifier: Apache-2.0

import Base

/// A background thread that gives references and space back, off the data path.
///
/// The thread is started with the first task and ends with `stop`.
final class Reclaimer: Sendable {
    private struct State {
        var drops: [@Sendable () -> Void] = []
        var tasks: [@Sendable () -> Void] = []
        var thread: NamedThread?
        /// The thread is at work; on a drop, rather than on a task.
        var busy = false
        var dropping = false
        var stopping = false
    }

    private let state = Monitor(State())

    /// Queues work that frees space.
    func add(_ task: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.tasks.append(task)
            startIfNeeded(&state)
        }
    }

    /// Queues the dropping of references; `finishDrops` waits for these.
    func addDrop(_ task: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.drops.append(task)
            startIfNeeded(&state)
        }
    }

    private func startIfNeeded(_ state: inout State) {
        if state.thread != nil || state.stopping { return }
        let monitor = self.state
        // Without a thread the work waits for the next task, or for the next start of the store.
        state.thread = try? NamedThread("chunk-reclaim") { Self.run(monitor) }
    }

    private static func run(_ monitor: Monitor<State>) {
        while true {
            let task = monitor.wait { state -> (@Sendable () -> Void)?? in
                if state.stopping { return .some(nil) }
                state.dropping = !state.drops.isEmpty
                guard let task = next(&state) else { return nil }
                state.busy = true
                return .some(task)
            }
            guard let task else { return }
            task()
            // Apart from the wait above: only a change under `withLock` wakes those that wait for it.
            monitor.withLock { state in
                state.busy = false
                state.dropping = false
            }
        }
    }

    private static func next(_ state: inout State) -> (@Sendable () -> Void)? {
        if !state.drops.isEmpty { return state.drops.removeFirst() }
        return state.tasks.isEmpty ? nil : state.tasks.removeFirst()
    }

    /// Does every drop that was queued before the call, on the caller's thread where it has not begun yet.
    func finishDrops() {
        let drops = state.withLock { state in
            defer { state.drops = [] }
            return state.drops
        }
        for drop in drops { drop() }
        state.wait { state in state.dropping ? nil : () }
    }

    /// Returns when all that was queued has been done.
    func finish() {
        state.wait { state in
            state.thread == nil || (state.drops.isEmpty && state.tasks.isEmpty && !state.busy) ? () : nil
        }
    }

    /// Ends the thread after its present task; what is still queued is left for the next start of the store.
    func stop() {
        let thread = state.withLock { state -> NamedThread? in
            state.stopping = true
            state.drops = []
            state.tasks = []
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
    }
}
