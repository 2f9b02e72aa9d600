// SPDX-License-Identifier: Apache-2.0

/// How many times faster than another engine ours must be at the median of all images.
struct Target {
    /// The engine, or what its name begins with before a colon.
    let engine: String
    let measure: Measure
    let factor: Double

    static let all = [
        Target(engine: "containerd", measure: .deployment, factor: 25),
        Target(engine: "stargz", measure: .deployment, factor: 3),
        Target(engine: "soci", measure: .deployment, factor: 5),
        Target(engine: "containerd", measure: .development, factor: 30),
    ]

    /// Over the steady part of a long run, what ours does for each operation of the baseline.
    static let steadyRatio = 0.97
    /// How many times sooner ours serves after a cold start.
    static let startFactor = 3.0
}

/// Whether a target is reached.
struct Verdict {
    let target: Target
    /// How many times faster, image by image.
    let factors: [(image: String, factor: Double)]

    /// Nil when nothing of it was measured.
    init?(_ target: Target, _ comparison: Comparison) {
        self.target = target
        factors = comparison.speedups(target.measure, of: EngineOrder.ours, over: target.engine)
        if factors.isEmpty { return nil }
    }

    var statistics: Statistics { Statistics(factors.map(\.factor)) }

    var isMet: Bool { statistics.median >= target.factor && slower.isEmpty }

    /// Images that are slower than with the other engine, which none may be.
    var slower: [String] { factors.filter { $0.factor < 1 }.map(\.image) }

    /// Images whose own factor is below the target.
    var below: [String] { factors.filter { $0.factor < target.factor }.map(\.image) }

    static func all(of comparisons: [Comparison]) -> [(comparison: Comparison, verdict: Verdict)] {
        comparisons.filter(\.conditions.cold).flatMap { comparison in
            Target.all.compactMap { target in Verdict(target, comparison).map { (comparison, $0) } }
        }
    }
}
