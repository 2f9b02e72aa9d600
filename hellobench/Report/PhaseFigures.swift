// SPDX-License-Identifier: Apache-2.0

/// Where a target is missed: what the time of our own engine went to, image by image.
struct PhaseFigures {
    private let report: Report

    init(_ report: Report) {
        self.report = report
    }

    var items: [Report.Item] {
        Verdict.all(of: report.comparisons).filter { !$0.verdict.isMet }.enumerated().flatMap {
            index, missed -> [Report.Item] in
            [.text(Self.text(missed.verdict))]
                + [figure(missed.verdict, missed.comparison, number: index + 1)].compactMap { $0 }
                .map(Report.Item.figure)
        }
    }

    private static func text(_ verdict: Verdict) -> String {
        let target = verdict.target
        var text =
            "\(target.measure.name) against \(target.engine): "
            + "\(Format.ratio(verdict.statistics.median)) at the median, "
            + "\(Format.ratio(target.factor)) wanted. "
        if !verdict.slower.isEmpty { text += "Slower: \(verdict.slower.joined(separator: ", ")). " }
        return text + "Below the target: \(verdict.below.joined(separator: ", "))."
    }

    private func figure(_ verdict: Verdict, _ comparison: Comparison, number: Int) -> Figure? {
        let measure = verdict.target.measure
        let images = verdict.factors.filter { $0.factor < verdict.target.factor }
            .sorted { $0.factor < $1.factor }
        let names = phaseNames(measure, images.map(\.image), comparison)
        let groups = images.map { image in
            BarPlot.Group(
                label: image.image,
                bars: measure.operations.compactMap { bar($0, measure, image.image, names, comparison) })
        }.filter { !$0.bars.isEmpty }
        if groups.isEmpty { return nil }
        let told = names.enumerated().map { index, name in
            Legend.Entry(name: name, series: Self.color(index).series, shades: [Self.color(index).opacity])
        }
        let legend = told + [Legend.Entry(name: Self.rest, series: Self.grey, shades: [1])]
        return Figure(
            name: "phases-\(number)",
            title: "Phases of \(measure.name), images below \(Format.ratio(verdict.target.factor))",
            description: "Horizontal bars of the seconds of each phase: " + names.joined(separator: ", ")
                + ".",
            caption:
                "Medians of \(EngineOrder.ours), \(comparison.conditions.name); the images that "
                + "miss the target by most come first. \(Self.rest): what no phase accounts for.",
            plot: BarPlot(groups: groups, legend: Legend(entries: legend), axisTitle: "seconds"))
    }

    private static let rest = "not told"

    /// Grey is kept for what is not told.
    private static let grey = 6
    private static let colors = (0..<PlotStyle.seriesCount).filter { $0 != grey }

    /// Colours come round, paler, when there are more phases than colours.
    private static func color(_ index: Int) -> (series: Int, opacity: Double) {
        (colors[index % colors.count], index < colors.count ? 1 : 0.5)
    }

    /// The phases that take longest come first.
    private func phaseNames(_ measure: Measure, _ images: [String], _ comparison: Comparison) -> [String] {
        var sums: [String: Double] = [:]
        for image in images {
            for operation in measure.operations {
                let phases = comparison.phases(
                    operation, in: measure.cycle, image: image, engine: EngineOrder.ours)
                sums.merge(phases) { $0 + $1 }
            }
        }
        return sums.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map(\.key)
    }

    private func bar(
        _ operation: Operation, _ measure: Measure, _ image: String, _ names: [String],
        _ comparison: Comparison
    ) -> BarPlot.Bar? {
        let one = Measure(cycle: measure.cycle, operations: [operation])
        let ours = EngineOrder.ours
        let phases = comparison.phases(operation, in: measure.cycle, image: image, engine: ours)
        guard let all = comparison.statistics(one, image: image, engine: ours)?.median, !phases.isEmpty
        else { return nil }
        var parts = names.enumerated().compactMap { index, name -> BarPlot.Part? in
            guard let seconds = phases[name] else { return nil }
            return BarPlot.Part(
                value: seconds, series: Self.color(index).series, opacity: Self.color(index).opacity,
                tip: "\(image), \(operation.rawValue): \(name) \(Format.seconds(seconds))")
        }
        let rest = all - phases.values.reduce(0, +)
        if rest > 0 {
            parts.append(
                BarPlot.Part(
                    value: rest, series: Self.grey,
                    tip: "\(image), \(operation.rawValue): \(Self.rest) \(Format.seconds(rest))"))
        }
        return BarPlot.Bar(parts: parts, label: "\(operation.rawValue) \(Format.seconds(all))")
    }
}
