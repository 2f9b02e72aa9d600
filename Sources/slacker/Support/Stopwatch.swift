// SPDX-License-Identifier: Apache-2.0

import Base

/// Tells on standard error how long each step took, for those who measure.
final class Stopwatch {
    private let isShown: Bool
    private var last = MonotonicTime.now

    init(isShown: Bool) {
        self.isShown = isShown
    }

    func lap(_ step: String) {
        let now = MonotonicTime.now
        report(step, now.seconds(since: last) * 1000)
        last = now
    }

    func report(_ step: String, _ milliseconds: Double) {
        guard isShown else { return }
        let hundredths = Int((milliseconds * 100).rounded())
        let fraction = hundredths % 100
        Output.write("\(step): \(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms\n", to: 2)
    }
}
