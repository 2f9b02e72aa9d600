// SPDX-License-Identifier: Apache-2.0

/// Numbers of several runs in a few words.
struct Statistics {
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
}
