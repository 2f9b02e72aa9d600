// SPDX-License-Identifier: Apache-2.0

/// All that is said about some results, to be put on a page, into files or into a README.
struct Report {
    enum Item {
        case figure(Figure)
        case table(DataTable)
        case text(String)
        /// A table that is long and seldom read.
        case folded(DataTable)
    }

    struct Section {
        let name: String
        let title: String
        let items: [Item]
    }

    let results: Results
    let comparisons: [Comparison]
    let palette: Palette

    init(_ results: Results) {
        self.results = results
        comparisons = Comparison.all(of: results.samples)
        palette = Palette(
            results.samples.map(\.engine) + results.timelines.map(\.engine)
                + results.throughputs.map(\.engine) + results.scales.map(\.engine))
    }

    /// Those that there is something to say in.
    var sections: [Section] {
        let cycles = comparisons.enumerated().map { index, comparison in
            Section(
                name: "cycles-\(index + 1)", title: "Push, pull and run: \(comparison.conditions.name)",
                items: CycleFigures(comparison, palette, number: index + 1).items)
        }
        let rest = [
            Section(name: "phases", title: "Where the time goes", items: PhaseFigures(self).items),
            Section(name: "timeline", title: "Bytes over time", items: TimelineFigures(self).items),
            Section(name: "analysis", title: "What is in the images", items: AnalysisFigures(results).items),
            Section(name: "serve", title: "Long runs", items: ThroughputFigures(self).items),
            Section(name: "scale", title: "Many containers at once", items: ScaleFigures(self).items),
            Section(name: "failures", title: "Failures", items: failureItems),
            Section(name: "samples", title: "Raw data", items: sampleItems),
        ]
        let summary = Section(name: "summary", title: "Summary", items: summaryItems)
        return ([summary] + cycles + rest).filter { !$0.items.isEmpty }
    }

    var figures: [Figure] {
        sections.flatMap(\.items).compactMap { item in
            if case .figure(let figure) = item { figure } else { nil }
        }
    }

    private var summaryItems: [Item] {
        let summary = Summary(self)
        return [summary.targets, summary.speeds].compactMap { $0 }.map(Item.table)
            + summary.machines.map(Item.table)
    }

    private var failureItems: [Item] {
        let rows =
            results.samples.filter { $0.status != .ok }.map { sample in
                [
                    sample.image, sample.engine, sample.op.rawValue, String(sample.round),
                    sample.status.rawValue, sample.error ?? "",
                ]
            }
            + results.scales.filter { $0.status != .ok }.map { scale in
                [
                    "\(scale.containers) containers of \(scale.images)", scale.engine, "scale",
                    String(scale.round), scale.status.rawValue, scale.error ?? "",
                ]
            }
        let servers = results.throughputs.compactMap { record in
            record.error.map { error in
                [
                    record.benchmark, record.engine, "serve", record.round.map { "\($0)" } ?? "", "failed",
                    error,
                ]
            }
        }
        if (rows + servers).isEmpty { return [] }
        return [
            .table(
                DataTable(
                    name: "failures", title: "What did not go well", note: "Not part of any figure above.",
                    words: 6,
                    header: ["image", "engine", "operation", "round", "status", "error"], rows: rows + servers
                ))
        ]
    }

    private var sampleItems: [Item] {
        if results.samples.isEmpty { return [] }
        let rows = results.samples.map { sample in
            [
                sample.image, sample.engine, sample.op.rawValue, sample.cycle?.rawValue ?? "",
                sample.cold ? "cold" : "warm", String(sample.round), sample.status.rawValue,
                Format.fixed(sample.seconds, 4), sample.engineSeconds.map { Format.fixed($0, 4) } ?? "",
                sample.containerSeconds.map { Format.fixed($0, 4) } ?? "",
                sample.teardownSeconds.map { Format.fixed($0, 4) } ?? "", String(sample.receivedBytes),
                String(sample.sentBytes), sample.diskBytes.map { String($0) } ?? "",
                sample.peakMemoryBytes.map { String($0) } ?? "",
            ]
        }
        return [
            .folded(
                DataTable(
                    name: "samples", title: "All \(rows.count) samples", words: 5,
                    header: [
                        "image", "engine", "operation", "cycle", "caches", "round", "status", "seconds",
                        "engine s",
                        "container s", "teardown s", "received B", "sent B", "disk B", "peak memory B",
                    ], rows: rows))
        ]
    }
}

/// Which colour is which engine's, the same in all pictures.
struct Palette {
    let engines: [String]

    init(_ names: [String]) {
        engines = EngineOrder.ordered(names)
    }

    func series(_ engine: String) -> Int { engines.firstIndex(of: engine) ?? engines.count }
}
