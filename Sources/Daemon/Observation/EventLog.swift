// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The last things that happened, for those who follow.
final class EventLog: Sendable {
    private struct State {
        var events: [EventInfo] = []
        var last: UInt64 = 0
        var isEnding = false
    }

    /// Events that are kept for who comes later.
    static let limit = 1024
    private let state = Monitor(State())

    func note(_ event: String, _ name: String, _ facts: [String: String] = [:]) {
        let now = Timestamp.text(Int64(Glibc.time(nil)))
        state.withLock { state in
            state.last += 1
            if state.events.count >= Self.limit { state.events.removeFirst(Self.limit / 4) }
            state.events.append(
                EventInfo(sequence: state.last, time: now, event: event, name: name, facts: facts))
        }
    }

    /// The number of the latest event; 0 before the first.
    var last: UInt64 { state.withLock { $0.last } }

    /// Those that came after one, waiting for one at most so long.
    func events(after sequence: UInt64, waitMs: Int) -> [EventInfo] {
        let limit = MonotonicTime.now.advanced(bySeconds: Double(min(max(0, waitMs), 30_000)) / 1000)
        let wanted: (State) -> [EventInfo] = { $0.events.filter { $0.sequence > sequence } }
        let found: [EventInfo]? = state.wait(until: limit) { state in
            let events = wanted(state)
            return events.isEmpty && !state.isEnding ? nil : events
        }
        return found ?? []
    }

    /// Lets go of everybody who waits.
    func end() {
        state.withLock { $0.isEnding = true }
    }
}
