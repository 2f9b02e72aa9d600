// SPDX-License-Identifier: Apache-2.0

/// Medians as dots with their intervals as lines, on a logarithmic axis.
struct IntervalPlot: Plot {
    struct Row {
        let label: String
        let dots: [Dot]
    }

    struct Dot {
        let series: Int
        let median: Double
        let low: Double
        let high: Double
        /// Stands behind the interval.
        let label: String
    }

    let rows: [Row]
    let legend: Legend
    let axisTitle: String
    var tick: (Double) -> String = { Format.axis($0) }

    private static let dotHeight = 18.0

    func draw(width: Double) -> Drawing {
        var drawing = Drawing(width: width)
        let isNarrow = width < 520
        let widest = rows.map { Drawing.textWidth($0.label) }.max() ?? 0
        let left = isNarrow ? 12 : min(width * 0.4, widest * 1.08 + 22)
        let dots = rows.flatMap(\.dots)
        let longest = dots.map { Drawing.textWidth($0.label) }.max() ?? 0
        let right = max(left + 80, width - min(longest + 14, width * 0.45))
        let low = dots.map(\.low).min() ?? 1
        let high = dots.map(\.high).max() ?? 10
        let scale = Scale(.logarithmic, low / 1.15...max(high, low) * 1.05, from: left, to: right)

        let top = 10 + legend.draw(on: &drawing, x: 10, y: 4)
        let heights = rows.map { Double($0.dots.count) * Self.dotHeight + (isNarrow ? 26 : 10) }
        let bottom = top + heights.reduce(0, +)
        for value in scale.ticks(atMost: max(2, Int((right - left) / 62))) {
            drawing.line((scale(value), top), (scale(value), bottom), class: "grid")
            drawing.text(tick(value), x: scale(value), y: bottom + 15, anchor: .middle, class: "muted")
        }
        drawing.line((left, bottom), (right, bottom), class: "axis")
        drawing.text(axisTitle, x: left, y: bottom + 33, class: "muted")
        var y = top
        for (row, height) in zip(rows, heights) {
            draw(row, on: &drawing, y: y, left: left, scale, isNarrow: isNarrow)
            y += height
        }
        drawing.height = bottom + 42
        return drawing
    }

    private func draw(
        _ row: Row, on drawing: inout Drawing, y top: Double, left: Double, _ scale: Scale, isNarrow: Bool
    ) {
        var y = top + (isNarrow ? 27 : 13)
        if isNarrow {
            drawing.text(row.label, x: left, y: top + 14, class: "strong")
        } else {
            let middle = y + Double(row.dots.count - 1) * Self.dotHeight / 2
            drawing.text(row.label, x: left - 10, y: middle + 4, anchor: .end, class: "strong")
        }
        for dot in row.dots {
            let tip = "\(row.label): \(dot.label)"
            let style = PlotStyle.solidLine(dot.series)
            drawing.line((scale(dot.low), y), (scale(dot.high), y), class: style)
            for end in [dot.low, dot.high] {
                drawing.line((scale(end), y - 4), (scale(end), y + 4), class: style)
            }
            drawing.circle((scale(dot.median), y), radius: 4.5, class: PlotStyle.fill(dot.series), tip: tip)
            drawing.text(dot.label, x: scale(dot.high) + 9, y: y + 4)
            y += Self.dotHeight
        }
    }
}
