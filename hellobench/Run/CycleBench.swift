// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What all cycles of a run share.
struct CycleSettings: Sendable {
    let run: String
    let link: LinkShape?
    let operations: Set<Operation>
    /// Each cold run is followed by one with everything warm.
    let warm: Bool
    /// Seconds after which a pull, push or commit counts as failed.
    let limitSeconds: Double
    /// The changed file of a development cycle and where it goes; nil for deployments.
    let change: (file: String, target: String)?

    var cycle: Cycle { change == nil ? .deployment : .development }
}

/// Takes one engine with one image through a cycle, from empty stores to hello, and tells what each step
/// took.
final class CycleBench {
    private let settings: CycleSettings
    private let place: EnginePlace
    private let registry: BenchRegistry
    private let execs: ExecWatch?
    private let meter: Meter
    private var count = 0
    /// When the last container was ready, on the clock of its timeline.
    private var readySeconds: Double?

    init(_ settings: CycleSettings, _ place: EnginePlace, _ registry: BenchRegistry) {
        self.settings = settings
        self.place = place
        self.registry = registry
        execs = ExecWatch()
        meter = Meter(link: registry.link)
    }

    /// What came of a cycle.
    struct Result {
        var samples: [SampleRecord] = []
        var timeline: TimelineRecord?
    }

    /// - Parameter progress: is told what is being done.
    func run(
        _ engine: any ContainerEngine, _ image: BenchImage, round: Int, progress: (String) -> Void
    ) throws -> Result {
        var result = Result()
        let context = Context(engine: engine, image: image, round: round)
        do {
            if settings.change != nil {
                try develop(context, &result, progress)
            } else {
                if settings.operations.contains(.push) { try push(context, &result, progress) }
                if settings.operations.contains(.pull) || settings.operations.contains(.run) {
                    let reference = try reference(image.repository, engine.tag(of: image))
                    try deploy(context, reference, &result, progress)
                }
            }
        } catch {
            try? engine.end()
            throw error
        }
        try engine.end()
        return result
    }

    private struct Context {
        let engine: any ContainerEngine
        let image: BenchImage
        let round: Int
    }

    private func reference(_ repository: String, _ tag: String) throws -> String {
        "\(try registry.host(settings.link))/\(repository):\(tag)"
    }
}

/// The steps.
extension CycleBench {
    /// Sends the whole image to a repository that has nothing of it.
    private func push(_ context: Context, _ result: inout Result, _ progress: (String) -> Void) throws {
        let (engine, image) = (context.engine, context.image)
        progress("push")
        try engine.begin()
        let target = image.repository + "-pushed"
        let source = registry.reference(image.repository, engine.tag(of: image))
        var measured: Measurement
        do {
            try width(nil)
            for command in engine.fetchWhole(source) { try place.commands.run(command, seconds: 1800) }
            try registry.remove(target)
            try width(settings.link)
            let host = try registry.host(settings.link, isOther: true)
            try coolDown()
            measured = try meter.time(
                engine.push(source, as: "\(host)/\(target):pushed"), limitSeconds: settings.limitSeconds)
        } catch BenchError.interrupted {
            throw BenchError.interrupted
        } catch {
            measured = .notTried("\(error)")
        }
        result.samples.append(sample(context, .push, measured, cold: true))
        try registry.remove(target)
        try engine.end()
    }

    /// From empty stores and cold caches to hello.
    private func deploy(
        _ context: Context, _ reference: String, _ result: inout Result, _ progress: (String) -> Void
    ) throws {
        let (engine, image) = (context.engine, context.image)
        try width(settings.link)
        try engine.begin()
        try coolDown()
        try registry.warm(image.repository)
        let timeline = Timeline(registry.link)
        let pulls = settings.operations.contains(.pull)
        var pulled = Measurement()
        if pulls || !engine.pullsByItself {
            progress("pull")
            pulled = try meter.time([engine.pull(reference)], limitSeconds: settings.limitSeconds)
        }
        var ran = Measurement()
        var record: SampleRecord?
        if settings.operations.contains(.run) {
            progress("run")
            record =
                try pulled.status == .ok
                ? start(context, reference, pulls: !pulls, cold: true, timeline, &ran)
                : sample(context, .run, .notTried("the pull failed"), cold: true)
        }
        let points = timeline.end()
        var pull = sample(context, .pull, pulled, cold: true)
        pull.diskBytes = record == nil ? try storedBytes(engine) : nil
        if pulls { result.samples.append(pull) } else { record?.add(pulled) }
        if let record { result.samples.append(record) }
        if context.round == 1, record?.status == .ok {
            result.timeline = TimelineRecord(
                image: image.name, engine: engine.name, points: points, readySeconds: readySeconds)
        }
        if settings.warm, record?.status == .ok {
            progress("warm run")
            for command in engine.complete(reference) { try place.commands.run(command, seconds: 1800) }
            var ran = Measurement()
            result.samples.append(try start(context, reference, pulls: false, cold: false, nil, &ran))
        }
    }

    /// A changed file becomes an image, and that a container elsewhere.
    private func develop(_ context: Context, _ result: inout Result, _ progress: (String) -> Void) throws {
        guard let change = settings.change, let tools = context.engine.development else {
            throw BenchError.answer("--engine \(context.engine.name): has no development cycle")
        }
        let (engine, image) = (context.engine, context.image)
        progress("change")
        try width(nil)
        try engine.begin()
        defer { try? tools.forget() }
        let tag = "changed-\(engine.name.replacing(":", with: "-"))"
        let base = "\(try registry.host(settings.link))/\(image.repository)"
        try tools.change("\(base):\(engine.tag(of: image))", file: change.file, target: change.target)
        try width(settings.link)
        try coolDown()
        try registry.warm(image.repository)
        progress("commit")
        let committed = try meter.time(tools.commit(), limitSeconds: settings.limitSeconds)
        result.samples.append(sample(context, .commit, committed, cold: true))
        progress("push")
        let pushed =
            committed.status == .ok
            ? try meter.time(tools.push(to: "\(base):\(tag)"), limitSeconds: settings.limitSeconds)
            : .notTried("the commit failed")
        result.samples.append(sample(context, .push, pushed, cold: true))
        try tools.forget()
        guard pushed.status == .ok else { return }
        try engine.end()
        try deploy(context, "\(base):\(tag)", &result, progress)
        try registry.remove(image.repository, tag: tag)
    }

    /// Starts a container, waits for its hello, and takes it away again.
    private func start(
        _ context: Context, _ reference: String, pulls: Bool, cold: Bool, _ timeline: Timeline?,
        _ ran: inout Measurement
    ) throws -> SampleRecord {
        let (engine, task) = (context.engine, context.image.task)
        count += 1
        let session = ContainerSession(place)
        defer { session.end() }
        let container = try session.container("hello-\(count)", reference: reference, task: task)
        execs?.begin(container.network)
        let before = registry.link.counters()
        let process = try session.start(engine.run(container, pulls: pulls), container, engine.network)
        defer { process.abandon() }
        let limit = Double(task.timeLimitSeconds)
        let outcome = process.awaitReady(limitSeconds: limit)
        ran.count(from: before, to: registry.link.counters())
        if case .ready(let time) = outcome, let timeline { readySeconds = timeline.seconds(at: time) }
        let life = execs?.life(ended: process.hasEnded)
        if outcome != .interrupted { try ran.add(process, outcome, limitSeconds: limit) }
        var record = sample(context, .run, ran, cold: cold)
        if case .ready(let time) = outcome, let life { record.split(process.startedAt, life, readyAt: time) }
        record.diskBytes = try? storedBytes(engine)
        record.peakMemoryBytes = Processes.peakBytes(engine.daemons)
        record.teardownSeconds = takeAway(container.name, process, engine)
        if outcome == .interrupted { throw BenchError.interrupted }
        return record
    }

    /// - Returns: how long it took.
    private func takeAway(_ name: String, _ process: WatchedProcess, _ engine: any ContainerEngine) -> Double
    {
        let begin = Monotonic.now
        let commands = place.commands
        if !process.hasEnded { _ = try? commands.run(engine.kill(name), seconds: 30, interruptible: false) }
        let end = process.awaitEnd(seconds: 30) ?? Monotonic.now
        for command in engine.forget(name) {
            _ = try? commands.run(command, seconds: 30, interruptible: false)
        }
        return max(0, Monotonic.seconds(from: begin, to: end))
    }
}

/// Around the steps.
extension CycleBench {
    private func width(_ shape: LinkShape?) throws { try registry.link.shape(megabits: shape?.megabits) }

    private func coolDown() throws(BenchError) {
        try Interrupt.check()
        try Caches.drop()
    }

    private func storedBytes(_ engine: any ContainerEngine) throws -> UInt64? {
        let words = ["du", "-s", "-x", "--block-size=1"] + engine.storeDirectories
        let lines = try place.commands.run(words, seconds: 60).split(separator: "\n")
        return lines.compactMap { $0.split(separator: "\t").first.flatMap { UInt64($0) } }.reduce(0, +)
    }

    private func sample(
        _ context: Context, _ op: Operation, _ measured: Measurement, cold: Bool
    ) -> SampleRecord {
        SampleRecord(
            run: settings.run, round: context.round, image: context.image.name,
            category: context.image.category,
            engine: context.engine.name, op: op, cycle: settings.cycle, cold: cold,
            link: settings.link?.record,
            seconds: measured.seconds, receivedBytes: measured.receivedBytes, sentBytes: measured.sentBytes,
            status: measured.status, error: measured.error)
    }
}

extension SampleRecord {
    /// Divides the time to ready into what the engine took before the container's program, that program, and
    /// what the engine took after its end.
    mutating func split(_ startedAt: Int64, _ life: ExecWatch.Life, readyAt: Int64) {
        guard let executedAt = life.executedAt, executedAt >= startedAt, executedAt <= readyAt else { return }
        let end = min(readyAt, max(executedAt, life.endedAt ?? readyAt))
        let own = Monotonic.seconds(from: executedAt, to: end)
        containerSeconds = own
        engineSeconds = max(0, seconds - own)
        phases = [
            "before": Monotonic.seconds(from: startedAt, to: executedAt), "container": own,
            "after": Monotonic.seconds(from: end, to: readyAt),
        ]
    }

    /// Adds the pull to a run that is to hold it.
    mutating func add(_ pull: Measurement) {
        seconds += pull.seconds
        engineSeconds = engineSeconds.map { $0 + pull.seconds }
        if pull.seconds > 0 { phases?["pull"] = pull.seconds }
        receivedBytes += pull.receivedBytes
        sentBytes += pull.sentBytes
        if pull.status != .ok { (status, error) = (pull.status, pull.error) }
    }
}

enum Caches {
    /// Writes what is dirty, and has the kernel forget what it can.
    static func drop() throws(BenchError) {
        sync()
        let path = "/proc/sys/vm/drop_caches"
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        if descriptor < 0 { throw .last("open", path) }
        defer { close(descriptor) }
        if write(descriptor, "3", 1) != 1 { throw .last("write", path) }
    }
}

/// What the kernel knows about processes.
enum Processes {
    /// The most memory that each had at once, added up; nil when there are none.
    static func peakBytes(_ ids: [Int32]) -> UInt64? {
        let peaks = ids.compactMap { Files.text("/proc/\($0)/status") }.map {
            Machine.number("VmHWM", in: $0) << 10
        }
        return peaks.isEmpty ? nil : peaks.reduce(0, +)
    }
}
