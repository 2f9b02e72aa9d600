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

extension Seconds {
    /// Long ones: `3 h 12 min`.
    static func long(_ seconds: Double) -> String {
        let whole = Int(seconds)
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min" }
        if whole < 86_400 { return "\(whole / 3600) h \(whole / 60 % 60) min" }
        return "\(whole / 86_400) d \(whole / 3600 % 24) h"
    }

    /// With three places, for columns.
    static func precise(_ seconds: Double) -> String {
        let thousandths = Int((seconds * 1000).rounded())
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    /// Short ones: microseconds where those are few.
    static func fine(_ seconds: Double) -> String {
        seconds < 0.001 ? "\(Int((seconds * 1e6).rounded())) us" : text(seconds)
    }
}

/// Shares in whole percents: 100 only when nothing is missing.
enum Share {
    static func text(_ part: UInt64, of whole: UInt64) -> String {
        if part >= whole { return "100%" }
        return "\(Int(Double(part) / Double(whole) * 100))%"
    }
}
