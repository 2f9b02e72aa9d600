// SPDX-License-Identifier: Apache-2.0

/// Finds what somebody meant who has mistyped a name.
enum NearestKey {
    /// The candidate that takes the fewest edits; nil when even that takes more than a third of its letters.
    static func find(_ name: String, among candidates: [String]) -> String? {
        let ranked = candidates.map { ($0, distance(Array(name.utf8), Array($0.utf8))) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= max(2, best.0.utf8.count / 3) else {
            return nil
        }
        return best.0
    }

    /// Edits (Levenshtein) that lead from one name to the other.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let substituted = diagonal + (byte == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(substituted, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count]
    }
}
