// SPDX-License-Identifier: Apache-2.0

/// How many bytes have come when, one picture for each image.
struct TimelineFigures {
    private let report: Report

    init(_ report: Report) {
        self.report = report
    }

    var items: [Report.Item] {
        report.results.timelines.map(\.image).distinct.compactMap(figure).map(Report.Item.figure)
    }

    private func figure(_ image: String) -> Figure? {
        let timelines = report.results.timelines.filter { $0.image == image && !$0.points.isEmpty }
        let engines = report.palette.engines.filter { engine in timelines.contains { $0.engine == engine } }
        let series = engines.flatMap { engine in
            timelines.filter { $0.engine == engine }.enumerated().map { index, timeline in
                LinePlot.Series(
                    name: name(timeline), series: report.palette.series(engine),
                    points: timeline.points.map { (x: $0[0], y: $0[1] / 1e6) }, isThin: index > 0)
            }
        }
        if series.isEmpty { return nil }
        let marks = engines.compactMap { engine in
            timelines.first { $0.engine == engine }?.readySeconds.map {
                LinePlot.Mark(value: $0, label: "\(engine) ready")
            }
        }
        return Figure(
            name: "timeline-\(image)", title: "\(image): bytes over the link",
            description: "Lines of how much has come over the link: "
                + series.filter { !$0.isThin }.map(\.name).joined(separator: "; ") + ".",
            caption: "From the beginning of the pull; dashed lines stand where a container says hello.",
            plot: LinePlot(
                series: series, xTitle: "seconds", yTitle: "MB received", xMarks: marks))
    }

    private func name(_ timeline: TimelineRecord) -> String {
        let sum = timeline.points.last.map { Format.bytes($0[1]) } ?? ""
        let ready = timeline.readySeconds.map { ", ready after \(Format.seconds($0))" } ?? ""
        return "\(timeline.engine): \(sum)\(ready)"
    }
}
