// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Starts a server from a cold start and keeps it busy.
final class ServeBench {
    private let stage: BenchStage
    private let link: LinkShape?
    private let seconds: Int
    private var count = 0

    /// A pull, or the way from the start of a container to its first answer, takes no longer than this.
    private static let limitSeconds = 600.0

    init(_ stage: BenchStage, link: LinkShape?, seconds: Int) {
        self.stage = stage
        self.link = link
        self.seconds = seconds
    }

    /// - Throws: why there is no figure; the engine is at its end all the same.
    func run(
        _ engine: any ContainerEngine, _ image: BenchImage, _ generator: LoadGenerator, round: Int
    ) throws -> ThroughputRecord {
        let registry = stage.registry
        let reference = "\(try registry.host(link))/\(image.repository):\(engine.tag(of: image))"
        try registry.link.shape(megabits: link?.megabits)
        do {
            try engine.begin()
            try registry.warm(image.repository)
            try Caches.drop()
            let record = try serve(engine, image, reference, generator, round)
            try engine.end()
            return record
        } catch {
            try? engine.end()
            throw error
        }
    }

    private func serve(
        _ engine: any ContainerEngine, _ image: BenchImage, _ reference: String, _ generator: LoadGenerator,
        _ round: Int
    ) throws -> ThroughputRecord {
        let session = ContainerSession(stage.place)
        defer { session.end() }
        count += 1
        let container = try session.container("serve-\(count)", reference: reference, task: image.task)
        let begin = Monotonic.now
        try pull(engine.pull(reference))
        let process = try session.start(engine.run(container, pulls: false), container, engine.network)
        defer {
            _ = try? stage.commands.run(engine.kill(container.name), seconds: 30, interruptible: false)
            _ = process.awaitEnd(seconds: 30)
            process.abandon()
            for command in engine.forget(container.name) {
                _ = try? stage.commands.run(command, seconds: 30, interruptible: false)
            }
        }
        let measure = { [self] in
            try awaitAnswer(generator.question, process)
            let first = Monotonic.seconds(from: begin, to: Monotonic.now)
            for command in generator.preparation { try stage.commands.run(command, seconds: 300) }
            let perSecond = try load(generator, process, from: begin)
            return ThroughputRecord(
                benchmark: image.name, engine: engine.name, round: round, link: link?.record,
                startSeconds: first, perSecond: perSecond, unit: generator.unit)
        }
        return try engine.network == .machine ? measure() : container.network.inside(measure)
    }

    private func pull(_ command: [String]) throws(BenchError) {
        let process = try WatchedProcess(command)
        defer { process.abandon() }
        switch process.awaitReady(limitSeconds: Self.limitSeconds) {
        case .ready: return
        case .interrupted: throw .interrupted
        case .timedOut: throw .timedOut(command: "the pull", seconds: Self.limitSeconds)
        case .failed(let reason): throw .answer("the pull: \(reason)")
        }
    }

    private func awaitAnswer(_ question: ServerQuestion, _ process: WatchedProcess) throws(BenchError) {
        let deadline = Monotonic.after(Self.limitSeconds)
        while !question.isAnswered {
            try Interrupt.check()
            if process.hasEnded { throw .answer("the container ended: \(process.lastWords)") }
            if Monotonic.now > deadline {
                throw .timedOut(command: "the first answer", seconds: Self.limitSeconds)
            }
            usleep(1000)
        }
    }

    private func load(
        _ generator: LoadGenerator, _ process: WatchedProcess, from begin: Int64
    ) throws -> [Double] {
        let output = stage.place.directory + "/load"
        let rest = Double(seconds) - Monotonic.seconds(from: begin, to: Monotonic.now)
        guard rest >= 1 else {
            throw BenchError.answer("no load could begin within \(seconds) s; give more --minutes")
        }
        let before = generator.countAtServer() ?? 0
        var curve = LoadCurve()
        curve.add(seconds: Monotonic.seconds(from: begin, to: Monotonic.now), bytes: LoopbackCounter.bytes)
        let child = try ChildProcess(generator.command(seconds: Int(rest.rounded(.up))), outputPath: output)
        defer { child.stop(graceSeconds: 2) }
        try follow(child, process, &curve, from: begin, isEndless: !generator.ends)
        // Asked before it is ended, so that what counts is what the curve has seen.
        let after = generator.countAtServer()
        curve.add(seconds: Monotonic.seconds(from: begin, to: Monotonic.now), bytes: LoopbackCounter.bytes)
        child.stop(graceSeconds: 2)
        let operations =
            try after.map { $0 - before } ?? generator.count(in: Files.text(output) ?? "")
        return curve.perSecond(operations: operations, seconds: seconds)
    }

    /// Looks at the counter each second, on the second, until the load has ended or is to be ended.
    private func follow(
        _ child: ChildProcess, _ process: WatchedProcess, _ curve: inout LoadCurve, from begin: Int64,
        isEndless: Bool
    ) throws {
        let end = begin + Int64(seconds) * 1_000_000_000
        var next = begin + (Monotonic.now - begin) / 1_000_000_000 * 1_000_000_000
        while true {
            next += 1_000_000_000
            while Monotonic.now < next, child.poll() == nil {
                try Interrupt.check()
                usleep(UInt32(clamping: min(20_000, max(100, (next - Monotonic.now) / 1000))))
            }
            curve.add(
                seconds: Monotonic.seconds(from: begin, to: Monotonic.now), bytes: LoopbackCounter.bytes)
            if let status = child.poll() {
                if status == 0, !isEndless { return }
                let tail = (Files.text(stage.place.directory + "/load") ?? "")
                    .split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; ")
                throw BenchError.commandFailed(command: child.name, status: status, output: tail)
            }
            if process.hasEnded { throw BenchError.answer("the container ended: \(process.lastWords)") }
            if isEndless, Monotonic.now >= end { return }
            if Monotonic.now > end + 60_000_000_000 {
                throw BenchError.timedOut(command: child.name, seconds: Double(seconds) + 60)
            }
        }
    }
}
