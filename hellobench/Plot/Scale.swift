// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where on a picture a value lies.
struct Scale {
    enum Kind {
        case linear, logarithmic
    }

    let kind: Kind
    let values: ClosedRange<Double>
    /// Pixels of the lower and of the upper end; the lower may be the larger one, as on a vertical axis.
    let start: Double
    let end: Double

    /// - Parameter values: below 1e-6, a logarithmic scale begins there.
    init(_ kind: Kind, _ values: ClosedRange<Double>, from start: Double, to end: Double) {
        self.kind = kind
        let low = kind == .logarithmic ? max(1e-6, values.lowerBound) : values.lowerBound
        self.values = low...max(values.upperBound, low + max(low.magnitude * 1e-6, 1e-9))
        self.start = start
        self.end = end
    }

    func callAsFunction(_ value: Double) -> Double {
        let inside = max(values.lowerBound, min(values.upperBound, value))
        let share =
            switch kind {
            case .linear: (inside - values.lowerBound) / (values.upperBound - values.lowerBound)
            case .logarithmic: log(inside / values.lowerBound) / log(values.upperBound / values.lowerBound)
            }
        return start + (end - start) * share
    }

    /// Round values for at most so many marks, more or less.
    func ticks(atMost count: Int) -> [Double] {
        kind == .linear ? linearTicks(count) : logarithmicTicks(count)
    }

    private func linearTicks(_ count: Int) -> [Double] {
        let step = Self.roundStep((values.upperBound - values.lowerBound) / Double(max(1, count)))
        let first = (values.lowerBound / step - 1e-9).rounded(.up)
        let last = (values.upperBound / step + 1e-9).rounded(.down)
        if last < first { return [] }
        return (Int(first)...Int(last)).map { Double($0) * step }
    }

    /// The next larger of 1, 2 and 5 times a power of ten.
    static func roundStep(_ raw: Double) -> Double {
        let power = pow(10, floor(log10(max(raw, 1e-12))))
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= raw * (1 - 1e-9) } ?? 10 * power
    }

    private func logarithmicTicks(_ count: Int) -> [Double] {
        let decades = Int(floor(log10(values.lowerBound)))...Int(ceil(log10(values.upperBound)))
        var ticks: [Double] = []
        for factors in [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]] {
            ticks = decades.flatMap { decade in factors.map { $0 * pow(10, Double(decade)) } }
                .filter { $0 >= values.lowerBound * 0.999 && $0 <= values.upperBound * 1.001 }
            if ticks.count <= count { return ticks }
        }
        let stride = (ticks.count + count - 1) / max(1, count)
        return ticks.enumerated().filter { $0.offset % max(1, stride) == 0 }.map(\.element)
    }
}
