// SPDX-License-Identifier: Apache-2.0

/// Names that somebody may have meant who wrote another one.
enum NearMatch {
    /// At most three, the most alike first.
    static func names(like name: String, in known: [String]) -> [String] {
        let wanted = name.lowercased()
        let limit = max(2, wanted.count / 3)
        let ranked = known.map { candidate in
            let other = candidate.lowercased()
            let contains = wanted.count > 2 && (other.contains(wanted) || wanted.contains(other))
            return (name: candidate, distance: contains ? 0 : distance(wanted, other))
        }
        return ranked.filter { $0.distance <= limit }.sorted { $0.distance < $1.distance }.prefix(3).map(
            \.name)
    }

    /// How many characters have to be put in, left out or replaced (Levenshtein's distance).
    static func distance(_ first: String, _ second: String) -> Int {
        let columns = Array(second)
        var row = Array(0...columns.count)
        for (line, character) in first.enumerated() {
            var diagonal = row[0]
            row[0] = line + 1
            for column in columns.indices {
                let replaced = diagonal + (columns[column] == character ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[columns.count]
    }
}
