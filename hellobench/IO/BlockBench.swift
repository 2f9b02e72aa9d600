// SPDX-License-Identifier: Apache-2.0

/// Reads and writes on block devices, engine against engine.
struct BlockBench {
    let workloads: [BlockWorkload]
    let runs: Int
    let fio: Fio
    let setting: Setting
    let json: JSONLines?

    /// One line of the JSON for each run of fio.
    private struct Sample: Encodable {
        let workload: String
        let engine: String
        let round: Int
        let unit: String
        let figure: Double
        let detail: FioResult
    }

    /// Figures by workload and engine.
    typealias Figures = [String: [String: [Double]]]

    /// Every round gives each engine its turn at each workload, so that whatever drifts hits all alike.
    func run(_ engines: [any BlockEngine]) throws -> Figures {
        var figures = Figures()
        for round in 1...runs {
            for (index, workload) in workloads.enumerated() {
                Terminal.note("round \(round) of \(runs): \(workload.name)")
                for turn in engines.indices {
                    // Who comes first changes from one to the next: being first may be worth something.
                    let engine = engines[(turn + round + index) % engines.count]
                    guard engine.measures(workload) else { continue }
                    let result = try measure(workload, engine)
                    let figure = result.figure(of: workload)
                    figures[workload.name, default: [:]][engine.name, default: []].append(figure)
                    try json?.write(
                        "sample",
                        Sample(
                            workload: workload.name, engine: engine.name, round: round, unit: workload.unit,
                            figure: figure, detail: result))
                }
            }
        }
        return figures
    }

    private func measure(_ workload: BlockWorkload, _ engine: any BlockEngine) throws -> FioResult {
        try Interrupt.check()
        let device = try engine.device(for: workload)
        let result = try fio.run(workload, on: device)
        try engine.finish(workload)
        if workload.writes { try setting.settle() }
        return result
    }
}
