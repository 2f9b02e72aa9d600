// SPDX-License-Identifier: Apache-2.0

/// A report as one HTML file that needs nothing else: no script, no font, no picture from anywhere.
struct HTMLPage {
    let report: Report
    let title: String

    /// Every picture is there twice, drawn for a wide and for a narrow window, and one of the two is shown.
    private static let wide = 920.0
    private static let narrow = 360.0

    private static let sheet = """
        :root{color-scheme:light dark;--fg:#1c1e21;--muted:#5c6470;--bg:#fff;--line:#dfe3e8;--stripe:#f6f7f9;\
        --link:#0060a0;--bad:#a33c00}
        @media (prefers-color-scheme:dark){:root{--fg:#e8eaed;--muted:#a3abb5;--bg:#15181c;--line:#30363d;\
        --stripe:#1c2025;--link:#7cc0f5;--bad:#f5894a}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--bg);color:var(--fg);\
        font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}
        main{max-width:960px;margin:0 auto;padding:24px 20px 64px}
        h1{font-size:1.75rem;line-height:1.2;margin:.2em 0 .4em}
        h2{font-size:1.3rem;margin:2.4em 0 .6em;padding-top:.6em;border-top:1px solid var(--line)}
        h3{font-size:1.05rem;margin:1.6em 0 .4em}
        p{max-width:46em}
        nav ul{display:flex;flex-wrap:wrap;gap:.3em 1.2em;list-style:none;padding:0;margin:1em 0}
        a{color:var(--link)}
        figure{margin:2em 0}
        figcaption{color:var(--muted);font-size:.875rem;max-width:56em;margin-top:.4em}
        .plot{display:block;width:100%;height:auto}
        .narrow{display:none}
        .wide-table{overflow-x:auto;margin:.6em 0}
        table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
        th,td{padding:.35em .75em;border-bottom:1px solid var(--line);text-align:left;\
        vertical-align:top}
        td.n,th.n{white-space:nowrap}
        thead th{border-bottom:2px solid var(--line);color:var(--muted);font-weight:600}
        tbody th{font-weight:600}
        tbody tr:nth-child(even){background:var(--stripe)}
        .n{text-align:right}
        .note{color:var(--muted);font-size:.875rem}
        .missed{color:var(--bad);font-weight:700}
        summary{cursor:pointer;color:var(--link)}
        @media (max-width:640px){main{padding:14px 12px 40px}.wide{display:none}.narrow{display:block}\
        h1{font-size:1.4rem}}
        @media print{.wide-table{overflow:visible}}
        """

    var text: String {
        let sections = report.sections
        let contents = sections.map { "<li><a href=\"#\($0.name)\">\(XML.escape($0.title))</a></li>" }
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(XML.escape(title))</title>
            <style>
            \(Self.sheet)
            \(PlotStyle.sheet)
            </style>
            </head>
            <body>
            <main>
            <h1>\(XML.escape(title))</h1>
            <p>\(XML.escape(introduction))</p>
            <nav aria-label="Contents"><ul>
            \(contents.joined(separator: "\n"))
            </ul></nav>
            \(sections.map(element).joined(separator: "\n"))
            </main>
            </body>
            </html>

            """
    }

    private var introduction: String {
        let samples = report.results.samples
        var parts: [String] = []
        if !samples.isEmpty {
            let failed = samples.filter { $0.status != .ok }.count
            parts.append(
                "\(samples.count) samples of \(samples.map(\.image).distinct.count) images, "
                    + (failed == 0 ? "none failed" : "\(failed) failed"))
        }
        if !report.results.throughputs.isEmpty {
            parts.append("\(report.results.throughputs.count) long runs")
        }
        if !report.results.scales.isEmpty {
            parts.append("\(report.results.scales.count) starts of many containers")
        }
        let unknown = report.results.unknown.values.reduce(0, +)
        if unknown > 0 { parts.append("lines of a kind that this program does not know: \(unknown)") }
        let engines = report.palette.engines
        let begin = engines.isEmpty ? "" : "Engines: \(engines.joined(separator: ", ")). "
        return begin + parts.joined(separator: "; ") + (parts.isEmpty ? "" : ".")
    }

    private func element(_ section: Report.Section) -> String {
        "<section id=\"\(section.name)\">\n<h2>\(XML.escape(section.title))</h2>\n"
            + section.items.map(element).joined(separator: "\n") + "</section>"
    }

    private func element(_ item: Report.Item) -> String {
        switch item {
        case .text(let text): return "<p>\(XML.escape(text))</p>"
        case .figure(let figure):
            return "<figure id=\"\(figure.name)\"><h3>\(XML.escape(figure.title))</h3>\n"
                + "<div class=\"wide\">\(figure.element(width: Self.wide))</div>"
                + "<div class=\"narrow\">\(figure.element(width: Self.narrow))</div>\n"
                + "<figcaption>\(XML.escape(figure.caption))</figcaption></figure>"
        case .table(let table):
            return "<h3>\(XML.escape(table.title))</h3>\n" + content(table)
        case .folded(let table):
            return "<details><summary>\(XML.escape(table.title))</summary>\n\(content(table))</details>"
        }
    }

    private func content(_ table: DataTable) -> String {
        table.html + (table.note.isEmpty ? "" : "<p class=\"note\">\(XML.escape(table.note))</p>\n")
    }
}
