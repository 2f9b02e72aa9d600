// SPDX-License-Identifier: Apache-2.0

/// The tables that come first: what was to be reached, how fast all is, on what it was measured.
struct Summary {
    private let report: Report

    init(_ report: Report) {
        self.report = report
    }

    static let intervalNote = """
        Intervals in brackets hold the median with 95 %; their ends are samples of a certain rank (order \
        statistics), so nothing is drawn at random. Fewer than six samples have no such interval: then the \
        brackets hold the lowest and the highest.
        """

    /// What must be reached, and what was.
    var targets: DataTable? {
        let cycles = Verdict.all(of: report.comparisons).map { comparison, verdict in
            let statistics = verdict.statistics
            return [
                verdict.target.measure.name, verdict.target.engine, comparison.conditions.name,
                Format.ratio(verdict.target.factor), Self.median(statistics, Format.ratio),
                verdict.isMet ? DataTable.met : DataTable.missed, String(verdict.below.count),
                verdict.slower.isEmpty ? "none" : String(verdict.slower.count), String(statistics.count),
            ]
        }
        let rows = cycles + ThroughputFigures(report).verdictRows
        if rows.isEmpty { return nil }
        return DataTable(
            name: "targets", title: "What must be reached",
            note: "Medians over the images of how many times faster \(EngineOrder.ours) is. "
                + Self.intervalNote,
            words: 3,
            header: [
                "what", "against", "conditions", "at least", "median", "verdict", "images below",
                "images slower", "n",
            ],
            rows: rows
        ).withConditionsInTitle
    }

    /// Every measure of every engine over all images.
    var speeds: DataTable? {
        let rows = report.comparisons.flatMap { comparison in
            Measure.all.flatMap { measure in
                comparison.engines.compactMap { row(measure, engine: $0, comparison) }
            }
        }
        if rows.isEmpty { return nil }
        return DataTable(
            name: "speeds", title: "All images",
            note:
                "Medians over the images of each image's median. Factors say how many times longer it takes "
                + "than with \(EngineOrder.ours), image by image.",
            words: 3,
            header: [
                "operation", "engine", "conditions", "median", "factor", "geometric mean", "least", "most",
                "images",
            ],
            rows: rows
        ).withConditionsInTitle
    }

    private func row(_ measure: Measure, engine: String, _ comparison: Comparison) -> [String]? {
        let medians = comparison.medians(measure, engine: engine)
        if medians.isEmpty { return nil }
        let statistics = Statistics(medians)
        let factors = comparison.speedups(measure, of: EngineOrder.ours, over: engine).map(\.factor)
        let begin = [
            measure.name, engine, comparison.conditions.name, Self.median(statistics, Format.seconds),
        ]
        guard engine != EngineOrder.ours, !factors.isEmpty else {
            return begin + ["", "", "", "", String(statistics.count)]
        }
        let ratios = Statistics(factors)
        return begin + [
            Self.median(ratios, Format.ratio), ratios.geometricMean.map(Format.ratio) ?? "",
            Format.ratio(ratios.lowest), Format.ratio(ratios.highest), String(ratios.count),
        ]
    }

    /// A median with its interval, in words.
    static func median(_ statistics: Statistics, _ format: (Double) -> String) -> String {
        let interval = statistics.medianInterval
        if statistics.count == 1 { return format(statistics.median) }
        return "\(format(statistics.median)) [\(format(interval.low)), \(format(interval.high))]"
    }

    var machines: [DataTable] {
        report.results.machines.reduce(into: [MachineRecord]()) { distinct, machine in
            var known = distinct.contains(machine)
            for other in distinct where !known {
                var same = other
                same.date = machine.date
                known = same == machine
            }
            if !known { distinct.append(machine) }
        }.enumerated().map { index, machine in
            let begin = [
                ["host", machine.host], ["kernel", machine.kernel], ["processor", machine.cpu],
                ["cores", String(machine.cores)], ["memory", Format.bytes(Double(machine.memoryBytes))],
                ["date", machine.date],
            ]
            let versions = machine.versions.sorted { $0.key < $1.key }.map { [$0.key, $0.value] }
            return DataTable(
                name: "machine-\(index + 1)", title: "Measured on", words: 2, header: ["", ""],
                rows: begin + versions)
        }
    }
}

extension DataTable {
    /// Without the column of conditions when these are the same in all rows.
    fileprivate var withConditionsInTitle: DataTable {
        guard let column = header.firstIndex(of: "conditions"), Set(rows.map { $0[column] }).count == 1,
            let conditions = rows.first?[column]
        else { return self }
        func without(_ row: [String]) -> [String] {
            row.enumerated().filter { $0.offset != column }.map(\.element)
        }
        return DataTable(
            name: name, title: "\(title): \(conditions)", note: note, words: words - 1,
            header: without(header), rows: rows.map(without))
    }
}
