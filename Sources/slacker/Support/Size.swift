// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

/// Sizes as people read them: powers of 1024.
enum Size {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB"]

    /// Three digits at most, such as `1.2 GiB`.
    static func text(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        var unit = 0
        while value >= 1000, unit + 1 < units.count {
            value /= 1024
            unit += 1
        }
        if unit == 0 || value >= 99.95 { return "\(Int(value.rounded())) \(units[unit])" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}

/// A size on the command line.
struct SizeArgument: ExpressibleByArgument {
    let bytes: UInt64

    init?(argument: String) {
        guard let bytes = ByteCount.parse(argument) else { return nil }
        self.bytes = bytes
    }
}

/// Durations as people read them.
enum Seconds {
    static func text(_ seconds: Double) -> String {
        if seconds < 1 { return "\(Int((seconds * 1000).rounded())) ms" }
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

/// Shares in whole percents: 100 only when nothing is missing.
enum Share {
    static func text(_ part: UInt64, of whole: UInt64) -> String {
        if part >= whole { return "100%" }
        return "\(Int(Double(part) / Double(whole) * 100))%"
    }
}
