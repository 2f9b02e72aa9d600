// SPDX-License-Identifier: Apache-2.0

/// Times the steps of one piece of work.
public struct StepClock: Sendable {
    public struct Step: Codable, Equatable, Sendable {
        public let step: String
        public let milliseconds: Double

        public init(step: String, milliseconds: Double) {
            self.step = step
            self.milliseconds = milliseconds
        }
    }

    /// Those that have ended, in order.
    public private(set) var steps: [Step] = []
    private var last: MonotonicTime

    /// - Parameter start: when the first step began.
    public init(since start: MonotonicTime = .now) {
        last = start
    }

    /// Takes over what another clock timed meanwhile, as parts of the step under way.
    public mutating func add(_ parts: [Step]) {
        steps += parts
    }

    /// Ends a step that began when the one before it ended.
    public mutating func step(_ name: String) {
        let now = MonotonicTime.now
        steps.append(Step(step: name, milliseconds: now.seconds(since: last) * 1000))
        last = now
    }
}
