// SPDX-License-Identifier: Apache-2.0

import Base

/// One piece of work that lasts, on a thread of its own, and what is known of it.
final class Operation: Sendable {
    let id: String
    private let state: Monitor<State>

    private struct State {
        var info: OperationInfo
        var isCancelled = false
        /// When somebody last asked.
        var asked = MonotonicTime.now
        var ended: MonotonicTime?
    }

    /// Seconds without a question after which the one who started it counts as gone.
    static let patienceSeconds = 15.0
    /// Seconds for which the result of an ended operation is kept.
    static let keepSeconds = 60.0

    init(id: String) {
        self.id = id
        state = Monitor(State(info: OperationInfo(id: id, state: .running, phase: "starting")))
    }

    /// True once the work is to stop: a client cancelled it, or none has asked for long.
    var isCancelled: Bool {
        state.withLock { state in
            if MonotonicTime.now.seconds(since: state.asked) > Self.patienceSeconds {
                state.isCancelled = true
            }
            return state.isCancelled
        }
    }

    /// True when nobody can want the result any more.
    var isForgotten: Bool {
        state.withLock { state in
            guard let ended = state.ended else { return false }
            return MonotonicTime.now.seconds(since: ended) > Self.keepSeconds
        }
    }

    func cancel() {
        state.withLock { $0.isCancelled = true }
    }

    /// The state now, without counting as a question.
    var info: OperationInfo { state.withLock { $0.info } }

    /// Waits until the operation has ended or the time is over; at most a few seconds, so that clients ask
    /// on.
    func wait(milliseconds: Int) -> OperationInfo {
        let limit = MonotonicTime.now.advanced(bySeconds: Double(min(max(0, milliseconds), 5000)) / 1000)
        state.withLock { $0.asked = .now }
        let ended: OperationInfo? = state.wait(until: limit) { $0.info.state == .running ? nil : $0.info }
        return state.withLock { state in
            state.asked = .now
            return ended ?? state.info
        }
    }

    func progress(phase: String, doneBytes: UInt64, totalBytes: UInt64) {
        state.withLock { state in
            state.info.phase = phase
            state.info.doneBytes = doneBytes
            state.info.totalBytes = totalBytes
        }
    }

    /// Ends it well, with results that the change enters.
    func succeed(_ change: (inout OperationInfo) -> Void) {
        end { info in
            info.state = .succeeded
            change(&info)
        }
    }

    func fail(_ failure: Failure) {
        end { info in
            info.state = .failed
            info.failure = failure
        }
    }

    private func end(_ change: (inout OperationInfo) -> Void) {
        state.withLock { state in
            change(&state.info)
            state.info.phase = "done"
            state.ended = .now
        }
    }
}
