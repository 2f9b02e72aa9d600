// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// A source with what was learnt about it.
///
/// Guarded by the lock of the board, but for what never changes.
final class FetchSource: @unchecked Sendable {
    // Unchecked because: variables are only touched under the lock of the board.
    let object: any PackSource
    let name: String

    /// Requests under way of each class.
    var requests = [Int](repeating: 0, count: FetchClass.allCases.count)
    /// Bytes that demand reads wait for in requests under way.
    var demandBytes: UInt64 = 0
    var totalRequests: UInt64 = 0
    var fetchedBytes: UInt64 = 0
    var fetchedByClass = [UInt64](repeating: 0, count: FetchClass.allCases.count)
    /// From a request to its first byte.
    var firstBytes = DurationHistogram()
    var failures: UInt64 = 0
    var damagedChunks: UInt64 = 0
    var lastError: String?

    private(set) var latency: Double?
    private(set) var bytesPerSecond: Double?
    private var latencies: [Double] = []
    private var nextLatency = 0
    private var slowest: Double?
    private var windowStart: MonotonicTime?
    private var windowBytes: UInt64 = 0

    /// Failed at least twice without a byte in between; only probed now and then.
    private(set) var isDown = false
    private var failuresInRow = 0
    private var lastOutage = MonotonicTime(nanoseconds: 0)
    private var blockedUntil = MonotonicTime(nanoseconds: 0)
    /// It asked to be left alone until then.
    private var restsUntil = MonotonicTime(nanoseconds: 0)
    /// Requests that were begun to see whether the source is back, the oldest first.
    var probes: [Transfer] = []
    private var penalty: Double = 0
    private var penaltySince = MonotonicTime(nanoseconds: 0)
    private var yieldSince: MonotonicTime?

    init(_ object: any PackSource) {
        self.object = object
        name = object.name
    }

    // MARK: Speed

    func noteFirstByte(after seconds: Double) {
        latency = latency.map { $0 + 0.2 * (seconds - $0) } ?? seconds
        if latencies.count < 64 {
            latencies.append(seconds)
        } else {
            latencies[nextLatency] = seconds
            nextLatency = (nextLatency + 1) % 64
        }
        slowest = nil
    }

    /// What 95 of 100 requests take to their first byte; a guess while few were seen.
    var slowLatency: Double {
        if let slowest { return slowest }
        if latencies.count < 4 { return max(0.2, (latency ?? 0.2) * 3) }
        let sorted = latencies.sorted()
        let value = sorted[min(sorted.count - 1, sorted.count * 95 / 100)]
        slowest = value
        return value
    }

    /// Counts received bytes and, over stretches in which much came, derives the speed of all requests
    /// together.
    func noteBytes(_ count: Int, _ now: MonotonicTime) {
        fetchedBytes += UInt64(count)
        guard let start = windowStart, now.seconds(since: start) < 1 else {
            windowStart = now
            windowBytes = 0
            return
        }
        windowBytes += UInt64(count)
        let seconds = now.seconds(since: start)
        if seconds >= 0.1, windowBytes >= 256 << 10 {
            noteSpeed(Double(windowBytes) / seconds)
            windowStart = now
            windowBytes = 0
        }
    }

    func noteSpeed(_ speed: Double) {
        bytesPerSecond = bytesPerSecond.map { $0 + 0.3 * (speed - $0) } ?? speed
    }

    /// Seconds that a request for so many bytes is likely to take, for comparison; unmeasured sources come
    /// in their order behind fast ones and before slow ones.
    func cost(ofBytes count: Int, _ now: MonotonicTime) -> Double {
        (latency ?? 0.05) + Double(count) / (bytesPerSecond ?? 20e6) + currentPenalty(now)
    }

    private func currentPenalty(_ now: MonotonicTime) -> Double {
        penalty == 0 ? 0 : penalty / (1 + max(0, now.seconds(since: penaltySince)) / 15)
    }

    private func punish(_ seconds: Double, _ now: MonotonicTime) {
        penalty = min(60, currentPenalty(now) + seconds)
        penaltySince = now
    }

    // MARK: Health

    /// True when a request may begin now, as far as the source's health goes.
    func isUsable(_ now: MonotonicTime) -> Bool { now >= blockedUntil && now >= restsUntil }

    /// A byte came: it is there.
    /// - Returns: true when it was down.
    func noteAlive() -> Bool {
        failuresInRow = 0
        if isDown { blockedUntil = MonotonicTime(nanoseconds: 0) }
        defer { isDown = false }
        return isDown
    }

    /// A probe was begun; the next one may follow even if this one hangs.
    func noteProbe(_ now: MonotonicTime, _ limits: FetchLimits) {
        blockedUntil = now.advanced(bySeconds: limits.backoffSeconds)
    }

    /// A request failed that says something about the source as a whole.
    /// - Returns: true when it has just gone down.
    func noteOutage(
        _ failure: SourceFailure, begun: MonotonicTime, _ now: MonotonicTime, _ limits: FetchLimits
    ) -> Bool {
        // Many requests that fail together are one failure: those begun before it say nothing new.
        let isNews = failuresInRow == 0 || begun >= lastOutage
        if isNews {
            failuresInRow += 1
            lastOutage = now
            let longest = limits.backoffSeconds
            let step = min(longest, longest / 8 * Double(1 << min(failuresInRow - 1, 4)))
            blockedUntil = max(blockedUntil, now.advanced(bySeconds: step * .random(in: 0.5...1)))
        }
        if case .unavailable(_, let delay?) = failure {
            let seconds = min(Double(delay) / 1000, limits.retryAfterSeconds)
            restsUntil = max(restsUntil, now.advanced(bySeconds: seconds))
        }
        if case .timedOut = failure { punish(1, now) }
        let wasDown = isDown
        isDown = failuresInRow >= 2
        return isDown && !wasDown
    }

    func noteDamage(_ now: MonotonicTime) {
        damagedChunks += 1
        punish(5, now)
    }

    // MARK: Yielding to demand

    /// True when requests of lower classes are to stand back, since demand reads would lose too much to them.
    ///
    /// Never for more than a quarter of a second at a time, and then not for as long: readers that never
    /// cease must not hold up the very stream that would serve them.
    func mustYield(_ now: MonotonicTime, _ limits: FetchLimits) -> Bool {
        guard demandBytes > 0 else {
            yieldSince = nil
            return false
        }
        let others = requests[1...].reduce(0, +) + 1
        if let bytesPerSecond,
            Double(demandBytes) * Double(others) / bytesPerSecond < limits.contentionSeconds
        {
            return false
        }
        guard let since = yieldSince, now.seconds(since: since) < 0.5 else {
            yieldSince = now
            return true
        }
        return now.seconds(since: since) < 0.25
    }
}
