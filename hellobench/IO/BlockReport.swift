// SPDX-License-Identifier: Apache-2.0

/// Medians and ratios against loop devices on local files, for people and for programs.
///
/// The bar is the loop device that is set up as ours is, with direct I/O; the buffered one, which keeps every
/// page twice, stands beside it. docs/decisions/0008-the-bar.md says why.
struct BlockReport {
    /// One line of the JSON for each workload and state of our volume.
    private struct Row: Encodable {
        let workload: String
        let engine: String
        let unit: String
        let median: Double
        /// The loop device with direct I/O on a local file.
        let baseline: String
        let baselineMedian: Double
        let ratio: Double
        let leastRatio: Double
        let isMet: Bool
        /// The same without direct I/O; nothing is promised against it.
        let bufferedMedian: Double
        let bufferedRatio: Double
        let samples: Int
    }

    private let title: String
    private let rows: [Row]

    /// - Parameter ours: the engines that are held against the bar.
    init(
        _ title: String, _ figures: BlockBench.Figures, _ workloads: [BlockWorkload], ours: [String],
        runs: Int
    ) {
        self.title = "\(title), medians of \(runs) interleaved rounds"
        rows = workloads.flatMap { workload in
            let medians = (figures[workload.name] ?? [:]).mapValues { Statistics($0).median }
            return ours.map { engine in
                let median = medians[engine] ?? 0
                // First writes take space on the disk, so they are held against first writes.
                let isFirst = workload.medium == .device && workload.writes && engine == "slacker clean"
                let kind = isFirst ? "fresh" : "local"
                let bar = medians["\(kind) direct"] ?? 0
                let buffered = medians["\(kind) buffered"] ?? 0
                return Row(
                    workload: workload.name, engine: engine, unit: workload.unit, median: median,
                    baseline: "\(kind) direct", baselineMedian: bar, ratio: median / bar,
                    leastRatio: workload.leastAgainstLocal, isMet: median / bar >= workload.leastAgainstLocal,
                    bufferedMedian: buffered, bufferedRatio: median / buffered, samples: runs)
            }
        }
    }

    func write(to json: JSONLines?) throws {
        for row in rows { try json?.write("result", row) }
    }

    /// The words of an engine's name: "local direct" is kind and way, "slacker clean" program and state.
    private static func first(_ name: String) -> String { String(name.prefix { $0 != " " }) }
    private static func last(_ name: String) -> String { String(name.drop { $0 != " " }.dropFirst()) }

    var text: String {
        var table = Table([
            "workload", "unit", "state", "slacker", "bar", "direct", "ratio", "at least", "", "buffered",
            "ratio",
        ])
        for row in rows {
            table.add([
                row.workload, row.unit, Self.last(row.engine), Format.brief(row.median),
                Self.first(row.baseline), Format.brief(row.baselineMedian),
                Format.ratio(row.ratio), Format.ratio(row.leastRatio), row.isMet ? "met" : "MISSED",
                Format.brief(row.bufferedMedian), Format.ratio(row.bufferedRatio),
            ])
        }
        return title + "\n\n" + table.text
    }
}
