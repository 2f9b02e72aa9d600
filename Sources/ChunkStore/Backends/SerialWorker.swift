// SPDX-License-Identifier: Apache-2.0

import Base

/// Runs jobs one after the other on a thread that is there while there is something to do.
final class SerialWorker: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var isRunning = false
    }

    private static let idleSeconds = 5.0

    private let name: String
    private let state = Monitor(State())

    init(_ name: String) {
        self.name = name
    }

    /// Never waits for a job.
    func run(_ job: @escaping @Sendable () -> Void) {
        let mustStart = state.withLock { state in
            state.jobs.append(job)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if !mustStart { return }
        let state = state
        let thread = try? NamedThread(name, detached: true) { Self.work(state) }
        // Without memory for a thread the jobs wait for the next attempt, so this caller has to do them.
        if thread == nil { Self.work(state, idleSeconds: 0) }
    }

    private static func work(_ state: Monitor<State>, idleSeconds: Double = SerialWorker.idleSeconds) {
        while true {
            let deadline = MonotonicTime.now.advanced(bySeconds: idleSeconds)
            var jobs =
                state.wait(until: deadline) { state -> [@Sendable () -> Void]? in
                    if state.jobs.isEmpty { return nil }
                    defer { state.jobs = [] }
                    return state.jobs
                } ?? []
            let isDone =
                jobs.isEmpty
                && state.withLock { state in
                    state.isRunning = !state.jobs.isEmpty
                    return !state.isRunning
                }
            if isDone { return }
            for job in jobs { job() }
            jobs = []
        }
    }
}
