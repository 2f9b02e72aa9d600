// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// Moments as image configurations write them (RFC 3339).
enum ISOTime {
    /// Seconds since 1970, a fraction left out; nil for what is no such moment.
    static func seconds(_ text: String) -> Int64? {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
        guard let date = try? Date(text, strategy: style) else { return nil }
        let seconds = date.timeIntervalSince1970.rounded(.down)
        return abs(seconds) < 1e12 ? Int64(seconds) : nil
    }
}
