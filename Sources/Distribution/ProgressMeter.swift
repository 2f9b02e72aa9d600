// SPDX-License-Identifier: Apache-2.0

import Base

/// Collects progress from several threads and passes it on ten times a second.
final class ProgressMeter: Sendable {
    private struct State {
        var progress = DistributionProgress(phase: .resolving)
        var last = MonotonicTime(nanoseconds: 0)
    }

    private static let secondsBetween = 0.1
    private let handler: ProgressHandler
    private let state = Lock(State())

    init(_ handler: @escaping ProgressHandler) {
        self.handler = handler
    }

    /// Begins a phase; always passed on.
    func begin(_ phase: DistributionProgress.Phase, totalBytes: UInt64 = 0, skippedBytes: UInt64 = 0) {
        state.withLock { state in
            state.progress = DistributionProgress(
                phase: phase, totalBytes: totalBytes, skippedBytes: skippedBytes)
            state.last = .now
            handler(state.progress)
        }
    }

    func add(_ bytes: UInt64) {
        state.withLock { state in
            state.progress.doneBytes += bytes
            let now = MonotonicTime.now
            let isDone = state.progress.doneBytes == state.progress.totalBytes
            if !isDone, now.seconds(since: state.last) < Self.secondsBetween { return }
            state.last = now
            handler(state.progress)
        }
    }
}
