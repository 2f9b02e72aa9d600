// SPDX-License-Identifier: Apache-2.0

/// How many times as fast as qemu-storage-daemon's export we are, for each way of using that.
struct QemuReport {
    /// One line of the JSON for each workload and each use of the export.
    private struct Row: Encodable {
        let workload: String
        let unit: String
        let slackerMedian: Double
        let access: String
        let qemuMedian: Double
        let ratio: Double
        let leastRatio: Double?
        let isMet: Bool?
    }

    private let rows: [[Row]]

    init(_ figures: BlockBench.Figures, _ workloads: [BlockWorkload]) {
        rows = workloads.map { workload in
            let medians = (figures[workload.name] ?? [:]).mapValues { Statistics($0).median }
            let ours = medians["slacker clean"] ?? 0
            return QemuEngine.Access.allCases.compactMap { access in
                guard let theirs = medians[access.engine] else { return nil }
                let least = workload.leastAgainstQemu
                return Row(
                    workload: workload.name, unit: workload.unit, slackerMedian: ours,
                    access: access.rawValue, qemuMedian: theirs, ratio: ours / theirs, leastRatio: least,
                    isMet: least.map { ours / theirs >= $0 })
            }
        }
    }

    func write(to json: JSONLines?) throws {
        for row in rows.joined() { try json?.write("qemu", row) }
    }

    var text: String {
        var table = Table(["workload", "unit", "slacker clean", "qemu", "export by", "ratio", "at least", ""])
        for row in rows.joined() {
            table.add([
                row.workload, row.unit, Format.brief(row.slackerMedian), Format.brief(row.qemuMedian),
                row.access, Format.ratio(row.ratio), row.leastRatio.map { Format.ratio($0) } ?? "",
                row.isMet.map { $0 ? "met" : "MISSED" } ?? "",
            ])
        }
        return "Against qemu-storage-daemon's FUSE export of a qcow2 overlay\n\n" + table.text
    }
}
