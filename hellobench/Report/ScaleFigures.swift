// SPDX-License-Identifier: Apache-2.0

/// Many containers at once: time to the last hello, memory and bytes.
struct ScaleFigures {
    private let report: Report

    private struct Case: Hashable {
        let images: Int
        let containers: Int
        let engine: String
    }

    init(_ report: Report) {
        self.report = report
    }

    private var good: [ScaleRecord] { report.results.scales.filter { $0.status == .ok } }

    private func key(_ record: ScaleRecord) -> Case {
        Case(images: record.images, containers: record.containers, engine: record.engine)
    }

    var items: [Report.Item] {
        [figure].compactMap { $0 }.map(Report.Item.figure) + (table.map { [.table($0)] } ?? [])
    }

    private var figure: Figure? {
        let images = good.map(\.images).distinct.sorted()
        let series = report.palette.engines.flatMap { engine in
            images.enumerated().compactMap { index, count -> LinePlot.Series? in
                let mine = good.filter { $0.engine == engine && $0.images == count }
                let points = Set(mine.map(\.containers)).sorted().map { containers in
                    let seconds = mine.filter { $0.containers == containers }.map(\.seconds)
                    return (x: Double(containers), y: Statistics(seconds).median)
                }
                if points.isEmpty { return nil }
                let name = count == 1 ? "one image" : "\(count) images"
                return LinePlot.Series(
                    name: "\(engine), \(name)", series: report.palette.series(engine) + index * 4,
                    points: points)
            }
        }
        if series.isEmpty { return nil }
        return Figure(
            name: "scale-containers", title: "Time to the last hello of many containers",
            description: "Lines of the seconds until the last of so many containers says hello: "
                + series.map(\.name).joined(separator: "; ") + ".",
            caption: "Medians. \(Format.link(good.first?.link)).",
            plot: LinePlot(
                series: series, xTitle: "containers (logarithmic)", yTitle: "seconds (logarithmic)",
                xKind: .logarithmic, yKind: .logarithmic))
    }

    private var table: DataTable? {
        let rows = good.map(key).distinct.map { wanted in
            let mine = good.filter { key($0) == wanted }
            let memory = mine.compactMap(\.memoryBytesPerContainer).map { Double($0) }
            return [
                wanted.engine, String(wanted.images), String(wanted.containers),
                Summary.median(Statistics(mine.map(\.seconds)), Format.seconds),
                memory.isEmpty ? "–" : Format.bytes(Statistics(memory).median),
                Format.bytes(Statistics(mine.map { Double($0.receivedBytes) }).median), String(mine.count),
            ]
        }
        if rows.isEmpty { return nil }
        return DataTable(
            name: "scale", title: "Many containers at once",
            header: [
                "engine", "images", "containers", "last hello", "memory per container", "received", "n",
            ], rows: rows)
    }
}
