// SPDX-License-Identifier: Apache-2.0

/// A table for a page or a README; numbers are in all columns but the first few.
struct DataTable {
    let name: String
    let title: String
    var note = ""
    /// How many columns, from the left, hold words.
    var words = 1
    let header: [String]
    var rows: [[String]]

    /// The rows as an HTML table, without its title.
    var html: String {
        let head = header.enumerated().map { cell("th", $0, $1, " scope=\"col\"") }.joined()
        let body = rows.map { row in
            "<tr>"
                + row.enumerated().map { column, text in
                    column == 0 ? cell("th", column, text, " scope=\"row\"") : cell("td", column, text, "")
                }.joined() + "</tr>"
        }.joined(separator: "\n")
        let frame = "class=\"wide-table\" tabindex=\"0\" role=\"region\" aria-label=\"\(XML.escape(title))\""
        return "<div \(frame)><table>\n"
            + "<thead><tr>\(head)</tr></thead>\n<tbody>\n\(body)\n</tbody></table></div>\n"
    }

    private func cell(_ tag: String, _ column: Int, _ text: String, _ extra: String) -> String {
        var kind = column < words ? "" : " class=\"n\""
        if text == Self.missed { kind = " class=\"missed\"" }
        return "<\(tag)\(kind)\(extra)>\(XML.escape(text))</\(tag)>"
    }

    /// For a terminal.
    var text: String {
        var table = Table(header)
        for row in rows { table.add(row) }
        return table.text
    }

    static let met = "met"
    static let missed = "MISSED"

    var markdown: String {
        let rule = header.indices.map { $0 < words ? "---" : "---:" }
        let lines = ([header, rule] + rows).map { row in
            "| " + row.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
        }
        return "**\(title)**\n\n" + lines.joined(separator: "\n") + "\n"
            + (note.isEmpty ? "" : "\n\(note)\n")
    }
}
