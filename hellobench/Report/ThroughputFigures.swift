// SPDX-License-Identifier: Apache-2.0

/// Long runs of servers: work done in each second after a cold start.
struct ThroughputFigures {
    private let report: Report

    init(_ report: Report) {
        self.report = report
    }

    private var records: [ThroughputRecord] { report.results.throughputs.filter { $0.error == nil } }
    private var benchmarks: [String] { records.map(\.benchmark).distinct }

    /// Seconds after which what is left of the start no longer counts; at most half of the run.
    private func steadyBegin(_ record: ThroughputRecord) -> Int {
        min(60, record.perSecond.count / 2)
    }

    private func link(_ benchmark: String) -> String {
        Format.link(records.first { $0.benchmark == benchmark }?.link)
    }

    private func records(_ benchmark: String, _ engine: String) -> [ThroughputRecord] {
        records.filter { $0.benchmark == benchmark && $0.engine == engine }
    }

    /// The mean of the steady part, run by run.
    private func steady(_ benchmark: String, _ engine: String) -> Statistics? {
        let means = records(benchmark, engine).compactMap { record -> Double? in
            let part = record.perSecond.dropFirst(steadyBegin(record))
            return part.isEmpty ? nil : part.reduce(0, +) / Double(part.count)
        }
        return means.isEmpty ? nil : Statistics(means)
    }

    private func start(_ benchmark: String, _ engine: String) -> Statistics? {
        let seconds = records(benchmark, engine).map(\.startSeconds)
        return seconds.isEmpty ? nil : Statistics(seconds)
    }

    var items: [Report.Item] {
        let figures = benchmarks.flatMap { benchmark in
            let longest = records.filter { $0.benchmark == benchmark }.map(\.perSecond.count).max() ?? 0
            return [figure(benchmark), longest > 60 ? figure(benchmark, seconds: 30) : nil]
        }
        return figures.compactMap { $0 }.map(Report.Item.figure) + (table.map { [.table($0)] } ?? [])
    }

    /// - Parameter seconds: draws only so many from the beginning.
    private func figure(_ benchmark: String, seconds: Int? = nil) -> Figure? {
        let unit = records.first { $0.benchmark == benchmark }?.unit ?? "operations"
        let engines = report.palette.engines.filter { !records(benchmark, $0).isEmpty }
        let series = engines.flatMap { engine in lines(benchmark, engine, seconds: seconds ?? .max) }
        if series.isEmpty { return nil }
        let marks = engines.compactMap { engine in
            start(benchmark, engine).map { LinePlot.Mark(value: $0.median, label: "\(engine) serves") }
        }
        return Figure(
            name: "throughput-\(benchmark)" + (seconds == nil ? "" : "-start"),
            title: "\(benchmark): \(unit) per second"
                + (seconds.map { ", the first \($0) seconds" } ?? " from a cold start"),
            description: "Lines of \(unit) in each second. "
                + series.filter { !$0.isThin }.map(\.name).joined(separator: "; ") + ".",
            caption:
                "\(link(benchmark)). The first second is the one in which the engine is started. Thick: the median "
                + "of the runs; thin: each run; vertical: the first answer.",
            plot: LinePlot(
                series: series, xTitle: "seconds since the engine was started", yTitle: "\(unit) per second",
                xMarks: marks))
    }

    private func lines(_ benchmark: String, _ engine: String, seconds: Int) -> [LinePlot.Series] {
        let runs = records(benchmark, engine).map { Array($0.perSecond.prefix(seconds)) }
        let shortest = runs.map(\.count).min() ?? 0
        if shortest == 0 { return [] }
        let color = report.palette.series(engine)
        let median = (0..<shortest).map { second in
            (x: Double(second) + 0.5, y: Statistics(runs.map { $0[second] }).median)
        }
        let steady = steady(benchmark, engine).map { Format.brief($0.median) } ?? "?"
        let single = runs.count < 2 ? [] : runs
        let thin = single.map { run in
            LinePlot.Series(
                name: engine, series: color, points: run.enumerated().map { (x: Double($0) + 0.5, y: $1) },
                isThin: true)
        }
        let name = "\(engine): steady \(steady), n = \(runs.count)"
        return thin + [LinePlot.Series(name: name, series: color, points: median)]
    }

    /// What must be reached of it, as rows of the table of all targets.
    var verdictRows: [[String]] {
        benchmarks.flatMap { benchmark -> [[String]] in
            guard let ours = steady(benchmark, EngineOrder.ours),
                let theirs = steady(benchmark, EngineOrder.baseline), theirs.median > 0,
                let start = start(benchmark, EngineOrder.ours),
                let other = self.start(benchmark, EngineOrder.baseline), start.median > 0
            else { return [] }
            let link = link(benchmark)
            let ratio = ours.median / theirs.median
            let sooner = other.median / start.median
            return [
                row("\(benchmark), steady", link, Target.steadyRatio, ratio, ours.count),
                row("\(benchmark), first answer", link, Target.startFactor, sooner, start.count),
            ]
        }
    }

    private func row(
        _ name: String, _ link: String, _ wanted: Double, _ ratio: Double, _ count: Int
    ) -> [String] {
        [
            name, EngineOrder.baseline, "cold, " + link, Format.ratio(wanted), Format.ratio(ratio),
            ratio >= wanted ? DataTable.met : DataTable.missed, "–", "–", String(count),
        ]
    }

    var table: DataTable? {
        let rows = benchmarks.flatMap { benchmark in
            report.palette.engines.compactMap { engine -> [String]? in
                guard let start = start(benchmark, engine) else { return nil }
                let steady = steady(benchmark, engine)
                let base = self.steady(benchmark, EngineOrder.baseline)?.median ?? 0
                let ratio = steady.flatMap { base > 0 ? Format.ratio($0.median / base) : nil } ?? "–"
                return [
                    benchmark, engine, Summary.median(start, Format.seconds),
                    steady.map { Summary.median($0, Format.brief) } ?? "–", ratio, String(start.count),
                ]
            }
        }
        if rows.isEmpty { return nil }
        return DataTable(
            name: "serve", title: "Long runs",
            note:
                "Steady: the mean of all seconds after the first minute, or the second half of a shorter run.",
            words: 2,
            header: [
                "benchmark", "engine", "first answer", "steady, per second", "of \(EngineOrder.baseline)",
                "n",
            ],
            rows: rows)
    }
}
