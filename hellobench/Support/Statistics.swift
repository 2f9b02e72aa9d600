// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Numbers of several runs in a few words.
struct Statistics {
    /// In which the median of what was sampled from lies, with a probability of at least `coverage`.
    struct Interval: Equatable {
        let low: Double
        let high: Double
        /// Below 0.95 when there are fewer than six samples: then these are the lowest and the highest.
        let coverage: Double
    }

    private let sorted: [Double]

    /// - Precondition: there is at least one sample.
    init(_ samples: [Double]) {
        precondition(!samples.isEmpty, "statistics of nothing")
        sorted = samples.sorted()
    }

    var count: Int { sorted.count }
    var lowest: Double { sorted[0] }
    var highest: Double { sorted[sorted.count - 1] }

    /// The middle sample; the mean of the two in the middle when there is an even number.
    var median: Double {
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// The smallest sample that is not below so many per cent of all (the nearest-rank definition).
    func percentile(_ percent: Double) -> Double {
        let rank = (percent / 100 * Double(sorted.count)).rounded(.up)
        return sorted[max(0, min(sorted.count - 1, Int(rank) - 1))]
    }

    /// The value below which a share of all lies, on the straight line between the two nearest samples.
    /// - Parameter share: from 0, the lowest sample, to 1, the highest.
    func quantile(_ share: Double) -> Double {
        let position = max(0, min(1, share)) * Double(sorted.count - 1)
        let below = Int(position)
        let above = min(below + 1, sorted.count - 1)
        return sorted[below] + (sorted[above] - sorted[below]) * (position - Double(below))
    }

    /// Between which two samples the median lies with 95 %.
    ///
    /// Each sample is above the median or below it as a coin falls, whatever the distribution is. So the number
    /// of samples below is binomial, and the two order statistics that leave out at most 2.5 % of it on either
    /// side hold the median between them. Nothing is drawn at random.
    var medianInterval: Interval {
        var outside = 0
        var below = 0.0
        while true {
            let next = below + Self.coinTerm(outside, of: count)
            if next > 0.025 { break }
            below = next
            outside += 1
        }
        let rank = max(0, outside - 1)
        let coverage = outside == 0 ? 1 - 2 * Self.coinTerm(0, of: count) : 1 - 2 * below
        return Interval(low: sorted[rank], high: sorted[count - 1 - rank], coverage: max(0, coverage))
    }

    /// The probability of exactly so many heads of so many tosses.
    private static func coinTerm(_ heads: Int, of tosses: Int) -> Double {
        let ways = lgamma(Double(tosses + 1)) - lgamma(Double(heads + 1)) - lgamma(Double(tosses - heads + 1))
        return exp(ways - Double(tosses) * log(2))
    }

    /// The mean for ratios; nil when a sample is not above zero.
    var geometricMean: Double? {
        guard lowest > 0 else { return nil }
        return exp(sorted.reduce(0) { $0 + log($1) } / Double(count))
    }

    /// Every sample with the share of all that are not above it.
    var distribution: [(value: Double, share: Double)] {
        sorted.enumerated().map { ($1, Double($0 + 1) / Double(count)) }
    }
}
