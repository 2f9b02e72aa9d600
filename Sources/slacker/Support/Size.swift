// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Sizes as people write and read them: powers of 1024.
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

    /// Reads `4096`, `512M`, `10G`, `10GiB`; nil for anything else and for more than 2^62 bytes.
    static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        var suffix = text.dropFirst(digits.count).uppercased()
        if suffix.hasSuffix("IB") {
            suffix.removeLast(2)
        } else if suffix.hasSuffix("B") {
            suffix.removeLast()
        }
        guard let power = ["", "K", "M", "G", "T"].firstIndex(of: suffix) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * UInt64(power)))
        return overflow || bytes > 1 << 62 ? nil : bytes
    }
}

/// A size on the command line.
struct SizeArgument: ExpressibleByArgument {
    let bytes: UInt64

    init?(argument: String) {
        guard let bytes = Size.parse(argument) else { return nil }
        self.bytes = bytes
    }
}
