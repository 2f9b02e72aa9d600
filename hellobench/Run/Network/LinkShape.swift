// SPDX-License-Identifier: Apache-2.0

/// Width and length of the line to the registry, as `--link` names them: `1gbit,0.5ms`.
struct LinkShape: Equatable, CustomStringConvertible {
    /// In both directions.
    let megabits: Double
    /// Of a round trip.
    let delayMilliseconds: Double

    /// - Parameter text: a width in `gbit`, `mbit` or `kbit`, and after a comma, if at all, a round trip in
    ///   `s`, `ms` or `us`.
    init(parsing text: String) throws(BenchError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count),
            let megabits = Self.number(parts[0], units: ["gbit": 1000, "mbit": 1, "kbit": 0.001])
        else { throw Self.error(text) }
        guard (0.1...100_000).contains(megabits) else {
            throw .answer("--link '\(text)': the width is from 100kbit to 100gbit")
        }
        self.megabits = megabits
        guard parts.count == 2 else {
            delayMilliseconds = 0
            return
        }
        guard let delay = Self.number(parts[1], units: ["ms": 1, "us": 0.001, "s": 1000]) else {
            throw Self.error(text)
        }
        guard delay <= 10_000 else { throw .answer("--link '\(text)': the round trip is 10s at most") }
        delayMilliseconds = delay
    }

    var description: String {
        let width =
            megabits >= 1000 ? Self.plain(megabits / 1000) + " Gbit/s" : Self.plain(megabits) + " Mbit/s"
        return delayMilliseconds == 0 ? width : "\(width), \(Self.plain(delayMilliseconds)) ms"
    }

    var record: LinkRecord { LinkRecord(megabits: megabits, delayMilliseconds: delayMilliseconds) }

    private static func error(_ text: String) -> BenchError {
        .answer("--link '\(text)': give a width and a round trip, such as 1gbit,0.5ms or 100mbit")
    }

    /// Units are tried longest first, since `ms` ends with `s`.
    private static func number(_ text: String, units: [String: Double]) -> Double? {
        for (unit, factor) in units.sorted(by: { $0.key.count > $1.key.count }) where text.hasSuffix(unit) {
            guard let value = Double(text.dropLast(unit.count)), value >= 0, value.isFinite else {
                return nil
            }
            return value * factor
        }
        return nil
    }

    private static func plain(_ value: Double) -> String {
        value == value.rounded() ? String(Int(value)) : String(value)
    }
}
