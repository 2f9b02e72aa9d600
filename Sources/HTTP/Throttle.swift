// SPDX-License-Identifier: Apache-2.0

import Base

/// Caps on what groups of transfers move: a bucket for each that fills at the allowed rate.
///
/// A transfer may move while there is something in the bucket, and takes out more than there is if need
/// be; whoever comes then waits in line until the debt is paid.
struct Throttle {
    private struct Cap {
        var bytesPerSecond: Double
        var tokens: Double
        var filledAt: MonotonicTime
        var waiting: [Exchange] = []

        /// What is saved up for a burst: a tenth of a second.
        var burst: Double { max(bytesPerSecond / 10, 16384) }
        /// From how much on somebody in line may go on: not for each byte.
        var threshold: Double { min(bytesPerSecond / 50, 16384) }

        mutating func fill(_ now: MonotonicTime) {
            tokens = min(burst, tokens + now.seconds(since: filledAt) * bytesPerSecond)
            filledAt = now
        }
    }

    private var caps: [TransferGroup: Cap] = [:]

    /// False puts the transfer in line.
    mutating func mayMove(_ exchange: Exchange, _ now: MonotonicTime) -> Bool {
        let group = exchange.options.group
        if caps.isEmpty || caps[group] == nil { return true }
        caps[group]?.fill(now)
        if let tokens = caps[group]?.tokens, tokens > 0 { return true }
        caps[group]?.waiting.append(exchange)
        return false
    }

    mutating func moved(_ bytes: Int, _ group: TransferGroup) {
        if !caps.isEmpty { caps[group]?.tokens -= Double(bytes) }
    }

    /// Takes the next transfer out of line that may go on.
    mutating func nextReleased(_ now: MonotonicTime) -> Exchange? {
        for group in TransferGroup.all {
            guard caps[group]?.waiting.isEmpty == false else { continue }
            caps[group]?.fill(now)
            if let cap = caps[group], cap.tokens >= cap.threshold {
                return caps[group]?.waiting.removeFirst()
            }
        }
        return nil
    }

    /// Milliseconds until somebody in line may go on; nil when nobody waits.
    func millisecondsToRelease(_ now: MonotonicTime) -> Int? {
        caps.values.filter { !$0.waiting.isEmpty }.map { cap in
            let missing = cap.threshold - cap.tokens - now.seconds(since: cap.filledAt) * cap.bytesPerSecond
            return Int(max(0, missing / cap.bytesPerSecond * 1000).rounded(.up))
        }.min()
    }

    /// Changes a cap; returns who waited in line, to try again.
    mutating func set(_ bytesPerSecond: UInt64?, for group: TransferGroup) -> [Exchange] {
        let waiting = caps[group]?.waiting ?? []
        caps[group] = bytesPerSecond.map {
            Cap(bytesPerSecond: Double($0), tokens: 0, filledAt: .now)
        }
        return waiting
    }

    /// The transfer is over.
    mutating func forget(_ exchange: Exchange) {
        if exchange.isHeldByLimit { caps[exchange.options.group]?.waiting.removeAll { $0 === exchange } }
    }
}
