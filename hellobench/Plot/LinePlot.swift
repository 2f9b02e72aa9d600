// SPDX-License-Identifier: Apache-2.0

/// Lines over two axes.
struct LinePlot: Plot {
    struct Series {
        let name: String
        let series: Int
        let points: [(x: Double, y: Double)]
        /// A value holds until the next one, as in a distribution.
        var isStep = false
        /// A single run behind a median: thin, and not in the legend.
        var isThin = false
    }

    struct Mark {
        let value: Double
        let label: String
    }

    let series: [Series]
    let xTitle: String
    let yTitle: String
    var xKind = Scale.Kind.linear
    var yKind = Scale.Kind.linear
    /// Values that are worth a vertical line.
    var xMarks: [Mark] = []
    /// The range of the vertical axis; left out, from 0 to the highest value.
    var yRange: ClosedRange<Double>?
    var xTick: (Double) -> String = { Format.axis($0) }
    var yTick: (Double) -> String = { Format.axis($0) }

    private static let plotHeight = 260.0
    private static let markHeight = 15.0

    func draw(width: Double) -> Drawing {
        var drawing = Drawing(width: width)
        let entries = series.filter { !$0.isThin }.map { Legend.Entry(name: $0.name, series: $0.series) }
        let legend = Legend(entries: entries).draw(on: &drawing, x: 10, y: 4)
        let top = 4 + legend + 20 + Double(min(2, xMarks.count)) * Self.markHeight
        let bottom = top + min(Self.plotHeight, max(180, width * 0.6))
        let vertical = Scale(yKind, yRange ?? ySpan, from: bottom, to: top)
        let yTicks = vertical.ticks(atMost: 6)
        let left = 16 + (yTicks.map { Drawing.textWidth(yTick($0)) }.max() ?? 20)
        let horizontal = Scale(xKind, xSpan, from: left, to: width - 22)

        drawing.text(yTitle, x: 10, y: 4 + legend + 12, class: "muted")
        for value in yTicks {
            drawing.line((left, vertical(value)), (horizontal.end, vertical(value)), class: "grid")
            drawing.text(yTick(value), x: left - 6, y: vertical(value) + 4, anchor: .end, class: "muted")
        }
        for value in horizontal.ticks(atMost: max(3, Int((horizontal.end - left) / 62))) {
            drawing.line((horizontal(value), top), (horizontal(value), bottom), class: "grid")
            drawing.text(xTick(value), x: horizontal(value), y: bottom + 16, anchor: .middle, class: "muted")
        }
        drawing.line((left, bottom), (horizontal.end, bottom), class: "axis")
        drawing.text(xTitle, x: left, y: bottom + 35, class: "muted")
        mark(on: &drawing, horizontal, top: top, bottom: bottom)
        for line in series { draw(line, on: &drawing, horizontal, vertical) }
        drawing.height = bottom + 44
        return drawing
    }

    private var xSpan: ClosedRange<Double> {
        let values = series.flatMap { $0.points.map(\.x) } + xMarks.map(\.value)
        let high = values.max() ?? 1
        let low = values.min() ?? 0
        return xKind == .linear ? min(0, low)...max(high, 1e-9) : low / 1.1...max(high * 1.1, low)
    }

    private var ySpan: ClosedRange<Double> {
        let values = series.flatMap { $0.points.map(\.y) }
        let high = values.max() ?? 1
        if yKind == .linear { return 0...max(high * 1.04, 1e-9) }
        let low = values.min() ?? 1
        return low / 1.2...max(high * 1.2, low)
    }

    private func draw(_ line: Series, on drawing: inout Drawing, _ horizontal: Scale, _ vertical: Scale) {
        var points: [(Double, Double)] = []
        for point in line.points {
            let y = vertical(point.y)
            if line.isStep, let last = points.last { points.append((horizontal(point.x), last.1)) }
            points.append((horizontal(point.x), y))
        }
        guard let first = points.first else { return }
        let style = line.isThin ? PlotStyle.solidLine(line.series) + " thin" : PlotStyle.line(line.series)
        if line.isStep { points.insert((first.0, vertical.start), at: 0) }
        drawing.polyline(points, class: style, tip: line.name)
        if line.points.count == 1 {
            drawing.circle(first, radius: 3, class: PlotStyle.fill(line.series), tip: line.name)
        }
    }

    /// Labels stand above the plot, in a second row where they would cover each other.
    private func mark(on drawing: inout Drawing, _ horizontal: Scale, top: Double, bottom: Double) {
        var taken = [-Double.infinity, -Double.infinity]
        for mark in xMarks.sorted(by: { $0.value < $1.value }) {
            let x = horizontal(mark.value)
            drawing.line((x, top - 4), (x, bottom), class: "axis target")
            let width = Drawing.textWidth(mark.label)
            let begin = x + width > drawing.width ? drawing.width - width : x
            guard let row = taken.firstIndex(where: { $0 < begin }) else { continue }
            drawing.text(mark.label, x: begin, y: top - 8 - Double(row) * Self.markHeight, class: "muted")
            taken[row] = begin + width
        }
    }
}
