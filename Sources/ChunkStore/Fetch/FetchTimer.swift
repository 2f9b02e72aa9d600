// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// A thread that calls something now and then, and rests while there is nothing to look after.
final class FetchTimer: Sendable {
    private struct State {
        var isWoken = false
        var isStopping = false
        var thread: NamedThread?
        var identity: pthread_t?
    }

    private let state = Monitor(State())

    /// - Parameter tick: returns the seconds until the next call; nil: when somebody wakes the timer.
    func start(_ tick: @escaping @Sendable () -> Double?) throws(SystemError) {
        let thread = try NamedThread("fetch-timer") { [self] in
            state.withLock { $0.identity = pthread_self() }
            while waitAfter(tick()) {}
        }
        state.withLock { $0.thread = thread }
    }

    /// Waits; false: the timer is to end.
    private func waitAfter(_ seconds: Double?) -> Bool {
        func look(_ state: inout State) -> Bool? {
            if state.isStopping { return false }
            if !state.isWoken { return nil }
            state.isWoken = false
            return true
        }
        guard let seconds else { return state.wait(look) }
        return state.wait(until: MonotonicTime.now.advanced(bySeconds: seconds), look) ?? true
    }

    func wake() {
        state.withLock { $0.isWoken = true }
    }

    func stop(mayJoin: Bool) {
        let thread = state.withLock { state -> NamedThread? in
            state.isStopping = true
            let isOwn = state.identity.map { pthread_equal($0, pthread_self()) != 0 } ?? false
            if !mayJoin || isOwn { return nil }
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
    }
}
