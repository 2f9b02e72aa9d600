// SPDX-License-Identifier: Apache-2.0

/// Pictures and tables of push, pull and run under one kind of conditions.
struct CycleFigures {
    private let comparison: Comparison
    private let palette: Palette
    private let number: Int

    init(_ comparison: Comparison, _ palette: Palette, number: Int) {
        self.comparison = comparison
        self.palette = palette
        self.number = number
    }

    var items: [Report.Item] {
        let figures = [
            bars(.deployment, of: [.pull, .run]), hasPush ? bars(.deployment, of: Operation.allCases) : nil,
            bars(.development, of: Operation.allCases), engineDistribution, measureDistribution, intervals,
        ]
        return figures.compactMap { $0 }.map(Report.Item.figure) + [.table(images)]
    }

    private var hasPush: Bool { comparison.has(.push) }

    static func opacity(_ operation: Operation) -> Double {
        switch operation {
        case .commit: 0.3
        case .push: 0.5
        case .pull: 0.75
        case .run: 1
        }
    }

    // MARK: Bars

    /// - Parameter operations: of which those are drawn that anything was measured of.
    private func bars(_ cycle: Cycle, of operations: [Operation]) -> Figure? {
        let operations = operations.filter { comparison.has(Measure(cycle: cycle, operations: [$0])) }
        if operations.isEmpty { return nil }
        let measure = Measure(cycle: cycle, operations: operations)
        let order = comparison.images.sorted { longest(measure, $0) > longest(measure, $1) }
        let groups = order.map { image in
            BarPlot.Group(
                label: image,
                bars: comparison.engines.compactMap { bar(measure, image: image, engine: $0) })
        }
        let names = measure.operations.map(\.rawValue).joined(separator: ", ")
        let legend = comparison.engines.map { engine in
            Legend.Entry(
                name: "\(engine): \(names)", series: palette.series(engine),
                shades: operations.map(Self.opacity))
        }
        return Figure(
            name: "bars-\(operations.map(\.rawValue).joined(separator: "-"))-\(number)",
            title: "Time per image: \(measure.name)",
            description: "Horizontal bars, one for each image and engine, of the seconds that \(names) take. "
                + overall(measure),
            caption:
                "Medians, \(comparison.conditions.name). Behind a bar: the median of the sum, and how many "
                + "times as long as with \(EngineOrder.ours) it takes.",
            plot: BarPlot(
                groups: groups.filter { !$0.bars.isEmpty }, legend: Legend(entries: legend),
                axisTitle: "seconds"))
    }

    private func longest(_ measure: Measure, _ image: String) -> Double {
        let medians = comparison.engines.compactMap {
            comparison.statistics(measure, image: image, engine: $0)?.median
        }
        return medians.max() ?? 0
    }

    private func bar(_ measure: Measure, image: String, engine: String) -> BarPlot.Bar? {
        let samples = comparison.samples.filter {
            $0.image == image && $0.engine == engine && ($0.cycle ?? .deployment) == measure.cycle
        }
        if samples.isEmpty { return nil }
        let parts = measure.operations.compactMap { operation -> BarPlot.Part? in
            let one = Measure(cycle: measure.cycle, operations: [operation])
            guard let statistics = comparison.statistics(one, image: image, engine: engine) else {
                return nil
            }
            return BarPlot.Part(
                value: statistics.median, series: palette.series(engine), opacity: Self.opacity(operation),
                tip: "\(image), \(engine): \(operation.rawValue) "
                    + "\(Summary.median(statistics, Format.seconds)), n = \(statistics.count)")
        }
        guard let sum = comparison.statistics(measure, image: image, engine: engine) else {
            let failed = samples.first { $0.status != .ok }
            return BarPlot.Bar(parts: parts, label: "\(engine): \(failed?.status.rawValue ?? "incomplete")")
        }
        var label = "\(engine) \(Format.seconds(sum.median))"
        if engine != EngineOrder.ours,
            let ours = comparison.statistics(measure, image: image, engine: EngineOrder.ours)?.median,
            ours > 0
        {
            label += ", " + Format.ratio(sum.median / ours)
        }
        return BarPlot.Bar(parts: parts, label: label)
    }

    private func overall(_ measure: Measure) -> String {
        comparison.engines.compactMap { engine in
            let medians = comparison.medians(measure, engine: engine)
            if medians.isEmpty { return nil }
            let median = Format.seconds(Statistics(medians).median)
            return "\(engine): median \(median) of \(medians.count) images."
        }.joined(separator: " ")
    }

    // MARK: Distributions

    /// Ours over each other engine.
    private var engineDistribution: Figure? {
        let others = comparison.engines.filter { $0 != EngineOrder.ours }
        let series = others.compactMap { engine in
            distribution(.deployment, over: engine, name: "over \(engine)", series: palette.series(engine))
        }
        let marks = Target.all.filter { $0.measure == .deployment && others.contains($0.engine) }.map {
            LinePlot.Mark(value: $0.factor, label: "\($0.engine): \(Format.axis($0.factor))x wanted")
        }
        return distribution(
            series, name: "speedup-engines-\(number)",
            title: "How many times faster a deployment is (pull + run)", marks: marks)
    }

    /// Ours over the baseline, by operation.
    private var measureDistribution: Figure? {
        let colors = [2, 3, 4, 5, 6, 7]
        let series = zip(Measure.all, colors).compactMap { measure, color in
            distribution(measure, over: EngineOrder.baseline, name: measure.name, series: color)
        }
        return distribution(
            series, name: "speedup-operations-\(number)",
            title: "How many times faster than \(EngineOrder.baseline), by operation",
            marks: [LinePlot.Mark(value: 1, label: "as fast")])
    }

    private func distribution(
        _ measure: Measure, over engine: String, name: String, series: Int
    ) -> LinePlot.Series? {
        let factors = comparison.speedups(measure, of: EngineOrder.ours, over: engine).map(\.factor)
        if factors.isEmpty { return nil }
        let statistics = Statistics(factors)
        let points = statistics.distribution.map { (x: $0.value, y: $0.share * 100) }
        let median = "median \(Format.ratio(statistics.median)), n = \(statistics.count)"
        return LinePlot.Series(name: "\(name): \(median)", series: series, points: points, isStep: true)
    }

    private func distribution(
        _ series: [LinePlot.Series], name: String, title: String, marks: [LinePlot.Mark]
    ) -> Figure? {
        if series.isEmpty { return nil }
        return Figure(
            name: name, title: title,
            description: "Share of the images whose speed-up is at most a factor. "
                + series.map(\.name).joined(separator: "; ") + ".",
            caption:
                "Of how many images the speed-up is at most what the horizontal axis says: further to the "
                + "right is better. One step for each image, \(comparison.conditions.name).",
            plot: LinePlot(
                series: series, xTitle: "times faster (logarithmic)", yTitle: "% of images",
                xKind: .logarithmic, xMarks: marks, yRange: 0...100, xTick: { Format.axis($0) + "x" }))
    }

    // MARK: Medians

    private var intervals: Figure? {
        let rows = Measure.all.compactMap { measure -> IntervalPlot.Row? in
            let dots = comparison.engines.compactMap { engine -> IntervalPlot.Dot? in
                let medians = comparison.medians(measure, engine: engine)
                if medians.isEmpty { return nil }
                let statistics = Statistics(medians)
                let interval = statistics.medianInterval
                return IntervalPlot.Dot(
                    series: palette.series(engine), median: statistics.median, low: interval.low,
                    high: interval.high,
                    label: "\(engine) \(Format.seconds(statistics.median)), n = \(statistics.count)")
            }
            return dots.isEmpty ? nil : IntervalPlot.Row(label: measure.name, dots: dots)
        }
        if rows.isEmpty { return nil }
        let words = rows.flatMap { row in row.dots.map { "\(row.label), \($0.label)" } }
        return Figure(
            name: "medians-\(number)", title: "Medians over the images, with 95 % intervals",
            description: "Dots with intervals: \(words.joined(separator: "; ")).",
            caption: "\(comparison.conditions.name). " + Summary.intervalNote,
            plot: IntervalPlot(
                rows: rows, legend: Legend(entries: []), axisTitle: "seconds (logarithmic)"))
    }

    // MARK: Table

    private var images: DataTable {
        let measures = Measure.all.filter(comparison.has)
        let rows = comparison.images.flatMap { image in
            comparison.engines.compactMap { engine in row(image, engine, measures) }
        }
        return DataTable(
            name: "images-\(number)", title: "Image by image: \(comparison.conditions.name)",
            note: "Medians and intervals, n times each. Bytes are those of pull and run together. "
                + Summary.intervalNote,
            words: 2,
            header: ["image", "engine"] + measures.map(\.name) + ["factor", "n", "received", "peak memory"],
            rows: rows)
    }

    private func row(_ image: String, _ engine: String, _ measures: [Measure]) -> [String]? {
        let mine = comparison.samples.filter { $0.image == image && $0.engine == engine && $0.status == .ok }
        if mine.isEmpty { return nil }
        let cells = measures.map { measure in
            comparison.statistics(measure, image: image, engine: engine)
                .map { Summary.median($0, Format.seconds) } ?? "–"
        }
        let factor = comparison.speedups(.deployment, of: EngineOrder.ours, over: engine)
            .first { $0.image == image }
        let counts = measures.map { comparison.seconds($0, image: image, engine: engine).count }
        let deployment = mine.filter { $0.cycle ?? .deployment == .deployment }
        let received = [Operation.pull, .run].compactMap { operation -> Double? in
            let bytes = deployment.filter { $0.op == operation }.map { Double($0.receivedBytes) }
            return bytes.isEmpty ? nil : Statistics(bytes).median
        }
        let memory = mine.compactMap(\.peakMemoryBytes).max()
        return [image, engine] + cells + [
            engine == EngineOrder.ours ? "" : factor.map { Format.ratio($0.factor) } ?? "–",
            String(counts.max() ?? 0), received.isEmpty ? "–" : Format.bytes(received.reduce(0, +)),
            memory.map { Format.bytes(Double($0)) } ?? "–",
        ]
    }
}
