// SPDX-License-Identifier: Apache-2.0

/// Medians and ratios of the block workloads, for people and for programs.
struct BlockReport {
    /// One line of the JSON for each workload and state of our volume.
    private struct Row: Encodable {
        let workload: String
        let engine: String
        let unit: String
        let median: Double
        /// The better of the two loop devices on a local file, with direct I/O and without.
        let baseline: String
        let baselineMedian: Double
        let ratio: Double
        let leastRatio: Double
        let qemuMedian: Double
        let qemuRatio: Double
        let leastQemuRatio: Double?
        let isMet: Bool
        let samples: Int
    }

    private let rows: [Row]
    private let runs: Int

    init(_ figures: BlockBench.Figures, _ workloads: [BlockWorkload], runs: Int) {
        self.runs = runs
        rows = workloads.flatMap { workload in
            let medians = (figures[workload.name] ?? [:]).mapValues { Statistics($0).median }
            let qemu = medians["qemu qcow2"] ?? 0
            return ["slacker clean", "slacker delta"].map { engine in
                let median = medians[engine] ?? 0
                // First writes take space on the disk, so they are held against first writes.
                let kind = workload.writes && engine == "slacker clean" ? "fresh" : "local"
                let locals = ["\(kind) buffered", "\(kind) direct"].map { ($0, medians[$0] ?? 0) }
                let best = locals[0].1 >= locals[1].1 ? locals[0] : locals[1]
                let ratio = median / best.1
                let qemuRatio = median / qemu
                return Row(
                    workload: workload.name, engine: engine, unit: workload.unit, median: median,
                    baseline: best.0,
                    baselineMedian: best.1, ratio: ratio, leastRatio: workload.leastAgainstLocal,
                    qemuMedian: qemu, qemuRatio: qemuRatio, leastQemuRatio: workload.leastAgainstQemu,
                    isMet: ratio >= workload.leastAgainstLocal
                        && qemuRatio >= workload.leastAgainstQemu ?? 0, samples: runs)
            }
        }
    }

    func write(to json: JSONLines?) throws {
        for row in rows { try json?.write("result", row) }
    }

    var text: String {
        var table = Table([
            "workload", "unit", "local", "best", "state", "slacker", "ratio", "at least", "qemu", "x qemu",
            "at least", "",
        ])
        for row in rows {
            table.add([
                row.workload, row.unit, Format.brief(row.baselineMedian),
                row.baseline.hasPrefix("local ")
                    ? String(row.baseline.dropFirst("local ".count)) : row.baseline,
                String(row.engine.dropFirst("slacker ".count)),
                Format.brief(row.median), Format.ratio(row.ratio), Format.ratio(row.leastRatio),
                Format.brief(row.qemuMedian), Format.ratio(row.qemuRatio),
                row.leastQemuRatio.map { Format.ratio($0) } ?? "", row.isMet ? "met" : "MISSED",
            ])
        }
        return "Block devices, medians of \(runs) interleaved rounds\n\n" + table.text
    }
}
