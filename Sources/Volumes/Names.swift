// SPDX-License-Identifier: Apache-2.0

/// The rules for names.
///
/// Images and volumes share one namespace.
public enum Names {
    /// An image: 1 to 255 of letters, digits and `._/:@-`, starting with a letter or digit, without `..` or
    /// `//`.
    public static func checkImage(_ name: String) throws(VolumeError) {
        try check(name, limit: 255, extra: "._/:@-")
        if name.contains("..") { throw .badName(name, reason: "must not contain '..'") }
        if name.contains("//") { throw .badName(name, reason: "must not contain '//'") }
    }

    /// A volume: 1 to 128 of letters, digits and `_.-`, starting with a letter or digit.
    public static func checkVolume(_ name: String) throws(VolumeError) {
        try check(name, limit: 128, extra: "_.-")
    }

    private static func check(_ name: String, limit: Int, extra: String) throws(VolumeError) {
        guard let first = name.utf8.first else {
            throw .badName(name, reason: "is empty; give at least one letter")
        }
        if name.utf8.count > limit { throw .badName(name, reason: "is longer than \(limit) characters") }
        if !isAlphanumeric(first) { throw .badName(name, reason: "must start with a letter or a digit") }
        let allowed = Set(extra.utf8)
        for byte in name.utf8 where !isAlphanumeric(byte) && !allowed.contains(byte) {
            throw .badName(name, reason: "may only contain letters, digits and any of '\(extra)'")
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    /// The candidate that is reached from `name` by the fewest edits; nil when more than a third would
    /// change.
    static func nearest(to name: String, among candidates: [String]) -> String? {
        let limit = max(1, name.utf8.count / 3)
        let wanted = Array(name.utf8)
        var best: (name: String, distance: Int)?
        for candidate in candidates.prefix(1000) where abs(candidate.utf8.count - wanted.count) <= limit {
            let distance = editDistance(wanted, Array(candidate.utf8))
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    private static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in 0..<right.count {
                let above = row[column + 1]
                row[column + 1] = min(
                    min(above, row[column]) + 1, diagonal + (right[column] == byte ? 0 : 1))
                diagonal = above
            }
        }
        return row[right.count]
    }
}
