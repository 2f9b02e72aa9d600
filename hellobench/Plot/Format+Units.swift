// SPDX-License-Identifier: Apache-2.0

import Glibc

extension Format {
    static func seconds(_ value: Double) -> String {
        if value < 0.9995 { return fixed(value * 1000, value < 0.00995 ? 1 : 0) + " ms" }
        return brief(value) + " s"
    }

    /// Powers of ten, as links and disks are sold.
    static func bytes(_ value: Double) -> String {
        for (unit, name) in [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")] where value.magnitude >= unit * 0.9995 {
            return brief(value / unit) + " " + name
        }
        return fixed(value, 0) + " B"
    }

    static func percent(_ share: Double) -> String {
        fixed(share * 100, share < 0.1 ? 1 : 0) + " %"
    }

    /// A round number beside an axis: no digit that says nothing.
    static func axis(_ value: Double) -> String {
        if value.magnitude >= 1e6 { return trimmed(value / 1e6) + "M" }
        if value.magnitude >= 1e4 { return trimmed(value / 1e3) + "k" }
        return trimmed(value)
    }

    private static func trimmed(_ value: Double) -> String {
        var text = fixed(value, value.magnitude >= 100 ? 0 : value.magnitude >= 0.1 ? 2 : 4)
        guard text.contains(".") else { return text }
        while text.hasSuffix("0") { text.removeLast() }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    static func link(_ link: LinkRecord?) -> String {
        guard let link else { return "loopback, no limits" }
        let width =
            link.megabits >= 1000 ? axis(link.megabits / 1000) + " Gbit/s" : axis(link.megabits) + " Mbit/s"
        return "\(width), \(axis(link.delayMilliseconds)) ms round trip"
    }
}
