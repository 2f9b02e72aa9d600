// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What an operation took.
struct Measurement {
    /// To its end, or to the ready condition.
    var seconds = 0.0
    var receivedBytes: UInt64 = 0
    var sentBytes: UInt64 = 0
    var status = Outcome.ok
    var error: String?

    static func notTried(_ reason: String) -> Measurement {
        Measurement(status: .failed, error: "not tried: \(reason)")
    }
}

/// Times commands and counts what they send over the link.
struct Meter {
    let link: BenchLink

    /// Runs commands one after the other, each to its end; the first that fails ends it.
    func time(_ commands: [[String]], limitSeconds: Double) throws -> Measurement {
        var total = Measurement()
        let before = link.counters()
        for command in commands where total.status == .ok {
            let process = try WatchedProcess(command)
            defer { process.abandon() }
            try total.add(process, process.awaitReady(limitSeconds: limitSeconds), limitSeconds: limitSeconds)
        }
        total.count(from: before, to: link.counters())
        return total
    }
}

extension Measurement {
    /// Adds a process that has come to the end of what is measured.
    mutating func add(
        _ process: WatchedProcess, _ outcome: WatchedProcess.Outcome, limitSeconds: Double
    ) throws(BenchError) {
        switch outcome {
        case .ready(let time): seconds += Monotonic.seconds(from: process.startedAt, to: time)
        case .interrupted: throw .interrupted
        case .timedOut:
            seconds += limitSeconds
            status = .timeout
            let words = process.lastWords
            error = "not ready after \(Format.brief(limitSeconds)) s" + (words.isEmpty ? "" : ": " + words)
        case .failed(let reason):
            seconds += Monotonic.seconds(from: process.startedAt, to: Monotonic.now)
            status = .failed
            error = reason
        }
    }

    mutating func count(from before: BenchLink.Counters, to after: BenchLink.Counters) {
        receivedBytes = after.receivedBytes - before.receivedBytes
        sentBytes = after.sentBytes - before.sentBytes
    }
}

/// Bytes that come over the link, looked at again and again by a thread of its own.
final class Timeline: Sendable {
    private struct State {
        var points: [[Double]] = []
        var isOver = false
    }

    private let state = Monitor(State())
    private let startedAt = Monotonic.now

    init(_ link: BenchLink) {
        let before = link.counters().receivedBytes
        let (state, startedAt) = (state, startedAt)
        let link = Unchecked(link)
        pthread_detach(
            PlainThread.start {
                while true {
                    let received = link.value.counters().receivedBytes - before
                    let seconds = Monotonic.seconds(from: startedAt, to: Monotonic.now)
                    let isOver = state.use { state in
                        state.points.append([seconds, Double(received)])
                        return state.isOver
                    }
                    if isOver { return }
                    usleep(20_000)
                }
            })
    }

    /// Ends it and gives the points; of those between which nothing came, only the first and the last.
    func end() -> [[Double]] {
        let points = state.use { state in
            state.isOver = true
            return state.points
        }
        return points.indices.filter { index in
            index == 0 || index == points.count - 1 || points[index - 1][1] != points[index][1]
                || points[index + 1][1] != points[index][1]
        }.map { points[$0] }
    }

    /// A moment as the points have it.
    func seconds(at time: Int64) -> Double { Monotonic.seconds(from: startedAt, to: time) }
}
