// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench report`: results as a page, as pictures and as tables.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Draws results: a page, pictures, tables.",
        discussion: """
            Without --html, --svg and --markdown the tables are printed. Several files count as one.
            """)

    @Argument(help: "Results of hellobench run, scale and serve: one JSON object a line.")
    var files: [String]

    @Option(help: "Write a page with everything to this file; it needs no other file.")
    var html: String?

    @Option(help: "Write each picture to this directory, as an SVG file.")
    var svg: String?

    @Option(help: "Write the tables of the summary to this file, for a README.")
    var markdown: String?

    @Option(help: "What the page is called.")
    var title = "HelloBench"

    func run() throws {
        let results = try Results(paths: files)
        if results.isEmpty {
            throw BenchError.answer(
                "\(files.joined(separator: ", ")): no samples; hellobench run, scale and serve make them"
            )
        }
        let report = Report(results)
        if let html { try Files.write(Array(HTMLPage(report: report, title: title).text.utf8), to: html) }
        if let svg {
            try Files.makeDirectory(svg)
            for figure in report.figures {
                try Files.write(Array(figure.file.utf8), to: "\(svg)/\(figure.name).svg")
            }
        }
        if let markdown { try Files.write(Array(report.markdown.utf8), to: markdown) }
        if html == nil, svg == nil, markdown == nil { Terminal.result(report.markdown) }
    }
}

extension Report {
    /// The tables that say most, in few lines.
    var markdown: String {
        let summary = Summary(self)
        let images = comparisons.compactMap(Self.imageTable)
        let tables = [summary.targets, summary.speeds].compactMap { $0 } + images + otherTables
        return (tables + summary.machines).map(\.markdown).joined(separator: "\n")
    }

    private var otherTables: [DataTable] {
        let items = ThroughputFigures(self).items + ScaleFigures(self).items + AnalysisFigures(results).items
        return items.compactMap { item in
            if case .table(let table) = item { table } else { nil }
        }
    }

    /// A line for each image, a column for each engine.
    private static func imageTable(_ comparison: Comparison) -> DataTable? {
        let measure = comparison.has(.deployment) ? Measure.deployment : .development
        guard comparison.has(measure) else { return nil }
        let others = comparison.engines.filter { $0 != EngineOrder.ours }
        let rows = comparison.images.map { image in
            let times = comparison.engines.map { engine in
                comparison.statistics(measure, image: image, engine: engine)
                    .map { Format.seconds($0.median) } ?? "–"
            }
            let factors = others.map { other in
                comparison.speedups(measure, of: EngineOrder.ours, over: other)
                    .first { $0.image == image }.map { Format.ratio($0.factor) } ?? "–"
            }
            let counts = comparison.engines.map {
                comparison.seconds(measure, image: image, engine: $0).count
            }
            return [image] + times + factors + [String(counts.min() ?? 0)]
        }
        return DataTable(
            name: "deployment", title: "\(measure.name), medians: \(comparison.conditions.name)",
            header: ["image"] + comparison.engines + others.map { "over \($0)" } + ["n"], rows: rows)
    }
}
