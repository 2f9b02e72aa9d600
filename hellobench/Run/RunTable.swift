// SPDX-License-Identifier: Apache-2.0

/// What a run prints in the end: a row for each image and engine, with medians.
struct RunTable {
    let samples: [SampleRecord]
    let images: [String]
    let engines: [String]

    var text: String {
        let columns = Self.columns.filter { column in samples.contains { column.holds($0) } }
        var table = Table(
            ["image", "engine"] + columns.map(\.title) + ["total", "MiB in", "ratio", "failed"])
        for image in images {
            for engine in engines {
                let mine = samples.filter { $0.image == image && $0.engine == engine }
                if mine.isEmpty { continue }
                let failed = mine.count { $0.status != .ok }
                let total = total(image, engine)
                let first = self.total(image, engines[0])
                table.add(
                    [image, engine] + columns.map { Self.median(mine.filter($0.holds).map(\.seconds)) }
                        + [
                            total.map { Format.brief($0) } ?? "-", Self.median(received(mine)),
                            Self.ratio(total, first), failed == 0 ? "" : "\(failed)",
                        ])
            }
        }
        return table.text
    }

    private struct Column {
        let title: String
        let op: Operation
        let cold: Bool
        func holds(_ sample: SampleRecord) -> Bool {
            sample.op == op && sample.cold == cold && sample.status == .ok
        }
    }

    private static let columns =
        Operation.allCases.map { Column(title: $0.rawValue, op: $0, cold: true) }
        + [Column(title: "warm run", op: .run, cold: false)]

    /// The median of the cycles' sums: pull and run, and what came before them in a development cycle.
    private func total(_ image: String, _ engine: String) -> Double? {
        let mine = samples.filter { $0.image == image && $0.engine == engine && $0.cold }
        let sums = Dictionary(
            grouping: mine.filter { $0.op != .push || $0.cycle == .development }, by: \.round
        ).values
            .filter { round in round.allSatisfy { $0.status == .ok } }
            .map { round in round.reduce(0) { $0 + $1.seconds } }
        return sums.isEmpty ? nil : Statistics(sums).median
    }

    /// MiB of the cold pulls and runs of each round.
    private func received(_ samples: [SampleRecord]) -> [Double] {
        let cold = samples.filter { $0.cold && ($0.op == .pull || $0.op == .run) && $0.status == .ok }
        return Dictionary(grouping: cold, by: \.round).values.map { round in
            round.reduce(0) { $0 + Double($1.receivedBytes) } / 1_048_576
        }
    }

    private static func median(_ values: [Double]) -> String {
        values.isEmpty ? "-" : Format.brief(Statistics(values).median)
    }

    /// How many times as long as the first engine it takes.
    private static func ratio(_ value: Double?, _ first: Double?) -> String {
        guard let value, let first, first > 0 else { return "-" }
        return Format.ratio(value / first)
    }
}
