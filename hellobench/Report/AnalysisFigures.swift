// SPDX-License-Identifier: Apache-2.0

/// What is in the images, and what of it a start reads.
struct AnalysisFigures {
    private let results: Results

    /// Names that have a picture of their own.
    private static let drawn = ["amplification", "layers", "second-run", "dedup"]

    init(_ results: Results) {
        self.results = results
    }

    var items: [Report.Item] {
        let figures = [amplification, layers, secondRun, dedup].compactMap { $0 }
        return figures.map(Report.Item.figure) + tables.map(Report.Item.table)
    }

    private func records(_ name: String) -> [AnalysisRecord] {
        results.analyses.filter { $0.name == name }
    }

    // MARK: Reads

    private var amplification: Figure? {
        typealias Row = (AnalysisRecord, image: Double, read: Double)
        let rows = records("amplification").compactMap { record -> Row? in
            guard let image = record.values["imageBytes"], image > 0, let read = record.values["readBytes"]
            else { return nil }
            return (record, image, read)
        }.sorted { $0.read / $0.image > $1.read / $1.image }
        if rows.isEmpty { return nil }
        let shares = Statistics(rows.map { $0.read / $0.image })
        let groups = rows.map { record, image, read in
            let name = record.image ?? "all"
            let fetched = record.values["fetchedBytes"].map {
                bar("fetched", $0, of: image, name: name, series: 1)
            }
            return BarPlot.Group(
                label: "\(name), \(Format.bytes(image))",
                bars: [bar("read", read, of: image, name: name, series: 0)] + (fetched.map { [$0] } ?? []))
        }
        return Figure(
            name: "amplification", title: "How much of an image a start reads",
            description: "Bars of the share of each image that is read until it is ready: median "
                + "\(Format.percent(shares.median)) of \(shares.count) images.",
            caption: "Distinct blocks that are read until the container says hello, and bytes that came over "
                + "the link, as a share of the flattened image. Median read: "
                + "\(Summary.median(shares, Format.percent)), n = \(shares.count). "
                + "Fetched bytes are compressed.",
            plot: BarPlot(
                groups: groups,
                legend: Legend(entries: [
                    Legend.Entry(name: "read", series: 0, shades: [1]),
                    Legend.Entry(name: "fetched, compressed", series: 1, shades: [1]),
                ]), axisTitle: "% of the image",
                marks: [
                    BarPlot.Mark(
                        value: shares.median * 100, label: "median read \(Format.percent(shares.median))")
                ]))
    }

    private func bar(
        _ what: String, _ bytes: Double, of image: Double, name: String, series: Int
    ) -> BarPlot.Bar {
        let share = Format.percent(bytes / image)
        let part = BarPlot.Part(
            value: bytes / image * 100, series: series, tip: "\(name): \(what) \(Format.bytes(bytes))")
        return BarPlot.Bar(parts: [part], label: "\(what) \(Format.bytes(bytes)), \(share)")
    }

    // MARK: Layers

    private var layers: Figure? {
        let records = records("layers")
        var sums: [Int: Double] = [:]
        for record in records {
            for (key, bytes) in record.values {
                if let depth = Int(key) { sums[depth, default: 0] += bytes }
            }
        }
        let all = sums.values.reduce(0, +)
        if all <= 0 { return nil }
        let groups = sums.keys.sorted().map { depth in
            let bytes = sums[depth] ?? 0
            let share = bytes / all
            let part = BarPlot.Part(
                value: share * 100, series: 0, tip: "depth \(depth): \(Format.bytes(bytes))")
            let label = "\(Format.percent(share)), \(Format.bytes(bytes))"
            return BarPlot.Group(
                label: "depth \(depth)", bars: [BarPlot.Bar(parts: [part], label: label)])
        }
        return Figure(
            name: "layers", title: "Data by depth of the layer",
            description:
                "Bars of the share of all bytes that lie at each depth; depth 1 is the topmost layer.",
            caption: "All layers of \(records.count) images; depth 1 is the topmost layer.",
            plot: BarPlot(groups: groups, legend: Legend(entries: []), axisTitle: "% of all bytes"))
    }

    // MARK: Second run

    private var secondRun: Figure? {
        let rows = records("second-run").compactMap { record -> (String, hits: Double, misses: Double)? in
            guard let hits = record.values["hits"], let misses = record.values["misses"], hits + misses > 0
            else { return nil }
            return (record.image ?? "all", hits, misses)
        }
        if rows.isEmpty { return nil }
        let shares = Statistics(rows.map { $0.hits / ($0.hits + $0.misses) })
        let groups = rows.map { name, hits, misses in
            let all = hits + misses
            let parts = [("hits", hits), ("misses", misses)].enumerated().map { index, part in
                BarPlot.Part(
                    value: part.1 / all * 100, series: index, tip: "\(name): \(part.0) \(Format.axis(part.1))"
                )
            }
            return BarPlot.Group(
                label: name, bars: [BarPlot.Bar(parts: parts, label: Format.percent(hits / all))])
        }
        return Figure(
            name: "second-run", title: "A second run of the same image",
            description:
                "Bars of hits and misses of the cache: median \(Format.percent(shares.median)) hits.",
            caption: "Reads that the cache answers. Median: \(Summary.median(shares, Format.percent)), "
                + "n = \(shares.count).",
            plot: BarPlot(
                groups: groups,
                legend: Legend(entries: [
                    Legend.Entry(name: "hits", series: 0, shades: [1]),
                    Legend.Entry(name: "misses", series: 1, shades: [1]),
                ]), axisTitle: "% of the reads", end: 100))
    }

    // MARK: Deduplication

    private var dedup: Figure? {
        let all = records("dedup")
        let whole = all.filter { $0.image == nil }
        var sums: [String: Double] = [:]
        for record in whole.isEmpty ? all : whole { sums.merge(record.values) { $0 + $1 } }
        if sums.isEmpty { return nil }
        let plain = sums["plain"] ?? 0
        let groups = sums.sorted { ($0.value, $0.key) > ($1.value, $1.key) }.map { name, bytes in
            let ratio =
                plain > 0 && bytes > 0 && name != "plain" ? ", \(Format.ratio(plain / bytes)) smaller" : ""
            let part = BarPlot.Part(
                value: bytes / 1e6, series: 0, tip: "\(name): \(Format.bytes(bytes))")
            return BarPlot.Group(
                label: name, bars: [BarPlot.Bar(parts: [part], label: Format.bytes(bytes) + ratio)])
        }
        let words = sums.sorted { $0.key < $1.key }.map { "\($0.key) \(Format.bytes($0.value))" }
        return Figure(
            name: "dedup", title: "What all images take together",
            description: "Bars of the bytes of all images, by how they are stored: "
                + words.joined(separator: ", ") + ".",
            caption: "Plain and by deduplication of files, chunks and images, and compressed.",
            plot: BarPlot(groups: groups, legend: Legend(entries: []), axisTitle: "MB"))
    }

    // MARK: The rest

    private var tables: [DataTable] {
        results.analyses.map(\.name).distinct.filter { !Self.drawn.contains($0) }.map { name in
            let records = records(name)
            let columns = Set(records.flatMap(\.values.keys)).sorted()
            return DataTable(
                name: name, title: Self.titles[name] ?? name, header: ["image"] + columns,
                rows: records.map { record in
                    [record.image ?? "all"]
                        + columns.map { column in
                            record.values[column].map { Self.cell($0, name, column) } ?? "–"
                        }
                })
        }
    }

    private static let titles = ["pull-share": "The share that the pull has in pull and run"]

    private static func cell(_ value: Double, _ name: String, _ column: String) -> String {
        if name.hasSuffix("-share") { return Format.percent(value) }
        return column.hasSuffix("Bytes") ? Format.bytes(value) : Format.brief(value)
    }
}
