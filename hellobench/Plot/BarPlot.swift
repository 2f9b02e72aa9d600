// SPDX-License-Identifier: Apache-2.0

/// Groups of horizontal bars, each bar of one or more parts.
struct BarPlot: Plot {
    struct Part {
        let value: Double
        let series: Int
        /// From 0 to 1, to tell parts of one series apart.
        var opacity = 1.0
        /// What a pointer over it is told.
        let tip: String
    }

    struct Bar {
        let parts: [Part]
        /// Stands behind the end of the bar.
        let label: String

        var length: Double { parts.reduce(0) { $0 + $1.value } }
    }

    struct Group {
        let label: String
        let bars: [Bar]
    }

    struct Mark {
        let value: Double
        let label: String
    }

    let groups: [Group]
    let legend: Legend
    let axisTitle: String
    var marks: [Mark] = []
    /// The end of the axis; left out, that of the longest bar.
    var end: Double?
    var tick: (Double) -> String = { Format.axis($0) }

    private static let barHeight = 15.0
    private static let narrow = 520.0

    func draw(width: Double) -> Drawing {
        let isNarrow = width < Self.narrow
        var drawing = Drawing(width: width)
        let widest = groups.map { Drawing.textWidth($0.label) }.max() ?? 0
        let left = isNarrow ? 10 : min(200, widest * 1.08 + 18)
        let longest = groups.flatMap(\.bars).map { Drawing.textWidth($0.label) }.max() ?? 0
        let right = max(left + 60, width - min(longest + 12, width / 2))
        let highest = (groups.flatMap(\.bars).map(\.length) + marks.map(\.value)).max() ?? 1
        let scale = Scale(.linear, 0...(end ?? max(highest, 1e-9)), from: left, to: right)

        let top = 4 + legend.draw(on: &drawing, x: 10, y: 4) + (marks.isEmpty ? 6 : 22)
        let rows = layout(top: top, isNarrow: isNarrow)
        let bottom = rows.bottom + 4
        axis(on: &drawing, scale, top: top, bottom: bottom)
        mark(on: &drawing, scale, top: top, bottom: bottom)
        for (group, y) in zip(groups, rows.tops) {
            draw(group, on: &drawing, y: y, left: left, scale, isNarrow: isNarrow)
        }
        drawing.height = bottom + 42
        return drawing
    }

    /// Where each group begins, and where the last one ends.
    private func layout(top: Double, isNarrow: Bool) -> (tops: [Double], bottom: Double) {
        var tops: [Double] = []
        var y = top + 4
        for group in groups {
            tops.append(y)
            y += Double(group.bars.count) * (Self.barHeight + 2) + (isNarrow ? 27 : 9)
        }
        return (tops, y)
    }

    private func axis(on drawing: inout Drawing, _ scale: Scale, top: Double, bottom: Double) {
        for value in scale.ticks(atMost: max(2, Int((scale.end - scale.start) / 75))) {
            drawing.line((scale(value), top), (scale(value), bottom), class: "grid")
            drawing.text(tick(value), x: scale(value), y: bottom + 15, anchor: .middle, class: "muted")
        }
        drawing.line((scale.start, top), (scale.start, bottom), class: "axis")
        drawing.text(axisTitle, x: scale.start, y: bottom + 33, class: "muted")
    }

    private func draw(
        _ group: Group, on drawing: inout Drawing, y top: Double, left: Double, _ scale: Scale, isNarrow: Bool
    ) {
        var y = top
        if isNarrow {
            drawing.text(group.label, x: left, y: y + 12, class: "strong")
            y += 18
        } else {
            let middle = y + Double(group.bars.count) * (Self.barHeight + 2) / 2
            let label = Drawing.cut(group.label, toWidth: left - 12)
            drawing.text(label, x: left - 8, y: middle + 3, anchor: .end, class: "strong")
        }
        for bar in group.bars {
            var sum = 0.0
            for part in bar.parts where part.value > 0 {
                let begin = scale(sum)
                sum += part.value
                drawing.rectangle(
                    x: begin, y: y, width: max(0.75, scale(sum) - begin), height: Self.barHeight,
                    class: PlotStyle.fill(part.series), opacity: part.opacity, tip: part.tip)
            }
            drawing.text(bar.label, x: scale(sum) + 6, y: y + 12)
            y += Self.barHeight + 2
        }
    }

    private func mark(on drawing: inout Drawing, _ scale: Scale, top: Double, bottom: Double) {
        for mark in marks {
            let x = scale(mark.value)
            let width = Drawing.textWidth(mark.label)
            let anchor: Drawing.Anchor = x + width > drawing.width ? .end : .start
            drawing.line((x, top - 4), (x, bottom), class: "axis target")
            drawing.text(mark.label, x: x, y: top - 8, anchor: anchor, class: "muted")
        }
    }
}
