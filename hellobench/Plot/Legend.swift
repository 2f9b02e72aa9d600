// SPDX-License-Identifier: Apache-2.0

/// Names of the series, above a plot, in as many rows as the width takes.
struct Legend {
    struct Entry {
        let name: String
        let series: Int
        /// Opacities of the parts of a bar, with what each part is; none for a line.
        var shades: [Double] = []
    }

    let entries: [Entry]
    private static let rowHeight = 20.0

    /// - Returns: the height it took.
    func draw(on drawing: inout Drawing, x left: Double, y top: Double) -> Double {
        guard !entries.isEmpty else { return 0 }
        var x = left
        var y = top
        for entry in entries {
            let key = entry.shades.isEmpty ? 26 : Double(entry.shades.count) * 14
            let width = key + 6 + Drawing.textWidth(entry.name) + 18
            if x > left, x + width > drawing.width {
                x = left
                y += Self.rowHeight
            }
            if entry.shades.isEmpty {
                drawing.line((x, y + 9), (x + key, y + 9), class: PlotStyle.line(entry.series))
            }
            for (index, shade) in entry.shades.enumerated() {
                drawing.rectangle(
                    x: x + Double(index) * 14, y: y + 3, width: 13, height: 12,
                    class: PlotStyle.fill(entry.series),
                    opacity: shade)
            }
            drawing.text(entry.name, x: x + key + 6, y: y + 13)
            x += width
        }
        return y + Self.rowHeight - top
    }
}
