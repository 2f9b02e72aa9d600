// SPDX-License-Identifier: Apache-2.0

/// A table of text: the first column to the left, all others to the right.
struct Table {
    private var rows: [[String]]

    init(_ header: [String]) {
        rows = [header]
    }

    mutating func add(_ row: [String]) {
        precondition(row.count == rows[0].count, "as many cells as the header has")
        rows.append(row)
    }

    var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }
        let rule = widths.map { String(repeating: "-", count: $0) }.joined(separator: "  ")
        return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n")
    }
}

/// Numbers as people read them.
enum Format {
    static func fixed(_ value: Double, _ digits: Int) -> String {
        if !(value.magnitude < 1e15) { return "\(value)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = String(scaled / Int64(scale))
        let sign = value < 0 && scaled > 0 ? "-" : ""
        if digits == 0 { return sign + whole }
        let rest = String(scaled % Int64(scale))
        return sign + whole + "." + String(repeating: "0", count: digits - rest.count) + rest
    }

    /// Three significant digits are enough for anything measured here.
    static func brief(_ value: Double) -> String {
        fixed(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)
    }

    static func ratio(_ value: Double) -> String { brief(value) + "x" }
}
