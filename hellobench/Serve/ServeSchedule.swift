// SPDX-License-Identifier: Apache-2.0

/// Goes through servers and engines in turns, and keeps what came of it.
final class ServeSchedule {
    struct Server {
        let workload: Workload
        let generator: LoadGenerator
    }

    private let servers: [Server]
    private let engines: [any ContainerEngine]
    private let steps: [RunStep]
    private let supply: ImageSupply
    private let bench: ServeBench
    private let link: LinkShape?
    private let lines: JSONLines?
    private let progress: ProgressLine
    /// What was made ready: images by workload, and who has its form of them.
    private var images: [String: BenchImage] = [:]
    private var prepared: Set<String> = []
    private var records: [ThroughputRecord] = []
    private(set) var failures = 0

    init(
        servers: [Server], engines: [any ContainerEngine], runs: Int, supply: ImageSupply, bench: ServeBench,
        link: LinkShape?, lines: JSONLines?
    ) {
        self.servers = servers
        self.engines = engines
        self.supply = supply
        self.bench = bench
        self.link = link
        self.lines = lines
        steps = RunStep.all(rounds: runs, images: servers.count, engines: engines.count)
        progress = ProgressLine(total: steps.count)
    }

    func run() throws {
        defer { progress.clear() }
        for step in steps {
            try Interrupt.check()
            let record = try take(step)
            records.append(record)
            try lines?.write(record)
            progress.advance()
        }
    }

    private func take(_ step: RunStep) throws -> ThroughputRecord {
        let (server, engine) = (servers[step.image], engines[step.engine])
        let head = "\(server.workload.name), \(engine.name), round \(step.round)"
        do {
            progress.show("\(head): making ready")
            let image = try ready(server, engine)
            progress.show("\(head): serving")
            return try bench.run(engine, image, server.generator, round: step.round)
        } catch BenchError.interrupted {
            throw BenchError.interrupted
        } catch {
            failures += 1
            progress.note("\(head): \(error)")
            return ThroughputRecord(
                benchmark: server.workload.name, engine: engine.name, round: step.round, link: link?.record,
                startSeconds: 0, perSecond: [], unit: server.generator.unit, error: "\(error)")
        }
    }

    private func ready(_ server: Server, _ engine: any ContainerEngine) throws -> BenchImage {
        let name = server.workload.name
        let image = try images[name] ?? supply.image(server.workload)
        images[name] = image
        if prepared.insert("\(engine.name) \(name)").inserted {
            try supply.registry.link.shape(megabits: nil)
            try engine.prepare(image, supply.registry)
        }
        return image
    }

    /// Medians, for people.
    var text: String {
        var results = Results()
        results.throughputs = records
        return ThroughputFigures(Report(results)).table?.text ?? "nothing was measured"
    }
}
