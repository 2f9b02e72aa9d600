// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Says on a terminal what is being waited for, once that lasts longer than a second.
final class Patience: Sendable {
    private let hasEnded = Monitor(false)
    private let thread: NamedThread?

    private static let firstSeconds = 1.0
    private static let stepSeconds = 0.5

    /// - Parameter what: such as `comparing`.
    init(_ what: String) {
        guard Output.showsProgress else {
            thread = nil
            return
        }
        let hasEnded = hasEnded
        thread = try? NamedThread("patience", stackBytes: 1 << 20) {
            let started = MonotonicTime.now
            var bar = ProgressBar()
            var limit = started.advanced(bySeconds: Self.firstSeconds)
            while hasEnded.wait(until: limit, { $0 ? true : nil }) == nil {
                bar.show(phase: "\(what), \(Int(MonotonicTime.now.seconds(since: started))) s")
                limit = .now.advanced(bySeconds: Self.stepSeconds)
            }
            bar.clear()
        }
    }

    /// Takes the line away; may be called again.
    func end() {
        let isFirst = hasEnded.withLock { ended in
            defer { ended = true }
            return !ended
        }
        if isFirst { thread?.join() }
    }

    /// Does something that may last.
    static func during<T>(_ what: String, _ body: () throws -> T) rethrows -> T {
        let patience = Patience(what)
        defer { patience.end() }
        return try body()
    }
}
