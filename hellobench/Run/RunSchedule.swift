// SPDX-License-Identifier: Apache-2.0

/// Goes through the steps of a run, from the first image's preparation to the last sample.
final class RunSchedule {
    private let workloads: [Workload]
    private let engines: [any ContainerEngine]
    private let steps: [RunStep]
    private let supply: ImageSupply
    private let bench: CycleBench
    private let settings: CycleSettings
    private let results: RunResults
    private let progress: ProgressLine
    /// Images by the index of their workload, or why there is none.
    private var images: [Int: Result<BenchImage, BenchError>] = [:]
    /// What was made of an image for an engine, by both their names.
    private var prepared: [String: BenchError?] = [:]
    private(set) var failures = 0

    init(
        workloads: [Workload], engines: [any ContainerEngine], runs: Int, supply: ImageSupply,
        bench: CycleBench,
        settings: CycleSettings, results: RunResults
    ) {
        self.workloads = workloads
        self.engines = engines
        self.supply = supply
        self.bench = bench
        self.settings = settings
        self.results = results
        steps = RunStep.all(rounds: runs, images: workloads.count, engines: engines.count)
        progress = ProgressLine(total: steps.count)
    }

    func run() throws {
        defer { progress.clear() }
        for step in steps {
            try Interrupt.check()
            if !isDone(step) { try take(step) }
            progress.advance()
        }
    }

    private func take(_ step: RunStep) throws {
        let (workload, engine) = (workloads[step.image], engines[step.engine])
        let head = "\(workload.name), \(engine.name), round \(step.round)"
        progress.show("\(head): making ready")
        do throws(BenchError) {
            let image = try ready(step)
            let outcome = try measure(engine, image, step, head)
            for sample in outcome.samples { try keep(sample, head) }
            if let timeline = outcome.timeline { try keep(timeline) }
        } catch .interrupted {
            throw BenchError.interrupted
        } catch {
            for key in keys(step) where !results.done.holds(key) {
                try keep(failed(workload, engine, key, "\(error)"), head)
            }
        }
    }

    private func measure(
        _ engine: any ContainerEngine, _ image: BenchImage, _ step: RunStep, _ head: String
    ) throws(BenchError) -> CycleBench.Result {
        do {
            return try bench.run(engine, image, round: step.round) { progress.show("\(head): \($0)") }
        } catch {
            throw BenchError(error)
        }
    }

    /// The image, in the registry and in the form of the step's engine; both are made once.
    private func ready(_ step: RunStep) throws(BenchError) -> BenchImage {
        let (workload, engine) = (workloads[step.image], engines[step.engine])
        let image =
            images[step.image]
            ?? Result { () throws(BenchError) in
                do { return try supply.image(workload) } catch { throw BenchError(error) }
            }
        if case .failure(.interrupted) = image { throw .interrupted }
        images[step.image] = image
        let found = try image.get()
        let key = "\(engine.name) \(workload.name)"
        if prepared[key] == nil {
            do {
                try supply.registry.link.shape(megabits: nil)
                try engine.prepare(found, supply.registry)
                prepared[key] = .some(nil)
            } catch {
                let error = BenchError(error)
                if case .interrupted = error { throw error }
                prepared[key] = error
            }
        }
        if let failure = prepared[key] ?? nil { throw failure }
        return found
    }

    private func keep(_ sample: SampleRecord, _ head: String) throws(BenchError) {
        if sample.status != .ok {
            failures += 1
            progress.note("\(head): \(sample.op.rawValue): \(sample.status.rawValue): \(sample.error ?? "")")
        }
        do { try results.add(sample) } catch { throw BenchError(error) }
    }

    private func keep(_ timeline: TimelineRecord) throws(BenchError) {
        do { try results.add(timeline) } catch { throw BenchError(error) }
    }

    /// A step is taken again as a whole when any of its samples is missing.
    private func isDone(_ step: RunStep) -> Bool { keys(step).allSatisfy { results.done.holds($0) } }

    private func keys(_ step: RunStep) -> [DoneSamples.Key] {
        let (image, engine) = (workloads[step.image].name, engines[step.engine].name)
        var keys = Operation.allCases.filter(settings.operations.contains).map {
            DoneSamples.Key(round: step.round, image: image, engine: engine, op: $0, cold: true)
        }
        if settings.warm, settings.operations.contains(.run) {
            keys.append(.init(round: step.round, image: image, engine: engine, op: .run, cold: false))
        }
        return keys
    }

    private func failed(
        _ workload: Workload, _ engine: any ContainerEngine, _ key: DoneSamples.Key, _ reason: String
    ) -> SampleRecord {
        SampleRecord(
            run: settings.run, round: key.round, image: workload.name, category: workload.category.rawValue,
            engine: engine.name, op: key.op, cycle: settings.cycle, cold: key.cold,
            link: settings.link?.record,
            seconds: 0, receivedBytes: 0, sentBytes: 0, status: .failed, error: reason)
    }
}

extension BenchError {
    /// Any error as one of ours.
    init(_ error: any Error) {
        self = error as? BenchError ?? .answer("\(error)")
    }
}
