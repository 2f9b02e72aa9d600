// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Starts containers all at once, from empty stores, and waits for the last hello.
final class ScaleBench {
    private let stage: BenchStage
    private let shape: LinkShape?
    private let limitSeconds: Double
    private var prepared: Set<String> = []

    init(stage: BenchStage, shape: LinkShape?, limitSeconds: Double) {
        self.stage = stage
        self.shape = shape
        self.limitSeconds = limitSeconds
    }

    /// - Parameter images: one for each container.
    func run(_ engine: any ContainerEngine, _ images: [BenchImage], round: Int) throws -> ScaleRecord {
        var record = ScaleRecord(
            engine: engine.name, round: round, containers: images.count,
            images: Set(images.map(\.name)).count,
            link: shape?.record, seconds: 0, receivedBytes: 0, status: .ok)
        do {
            try prepare(engine, images)
            try engine.begin()
            try start(engine, images, &record)
        } catch BenchError.interrupted {
            try? engine.end()
            throw BenchError.interrupted
        } catch {
            (record.status, record.error) = (.failed, "\(error)")
        }
        try engine.end()
        return record
    }

    private func prepare(_ engine: any ContainerEngine, _ images: [BenchImage]) throws {
        try stage.registry.link.shape(megabits: nil)
        for image in images where prepared.insert("\(engine.name) \(image.name)").inserted {
            try engine.prepare(image, stage.registry)
        }
        try stage.registry.link.shape(megabits: shape?.megabits)
    }

    private func start(
        _ engine: any ContainerEngine, _ images: [BenchImage], _ record: inout ScaleRecord
    ) throws {
        let host = try stage.registry.host(shape)
        let session = ContainerSession(stage.place)
        defer { session.end() }
        let containers = try images.enumerated().map { index, image in
            try session.container(
                "scale-\(index)", reference: "\(host)/\(image.repository):\(engine.tag(of: image))",
                task: image.task)
        }
        try Caches.drop()
        for repository in Set(images.map(\.repository)) { try stage.registry.warm(repository) }
        let before = stage.registry.link.counters()
        let begin = Monotonic.now
        if !engine.pullsByItself { try pull(engine, Set(containers.map(\.reference))) }
        var processes: [WatchedProcess] = []
        defer {
            for (container, process) in zip(containers, processes) { remove(container, process, engine) }
        }
        for container in containers {
            processes.append(
                try session.start(
                    engine.run(container, pulls: engine.pullsByItself), container, engine.network))
        }
        try awaitHellos(processes, since: begin, &record)
        record.receivedBytes = stage.registry.link.counters().receivedBytes - before.receivedBytes
        // Of those that end with their hello, nothing is left to be looked at.
        if processes.allSatisfy({ !$0.hasEnded }) {
            let bytes = Processes.proportionalBytes(
                naming: stage.place.directory, networks: Set(containers.map { $0.network.inode }))
            record.memoryBytesPerContainer = bytes / UInt64(containers.count)
        }
    }

    /// Several images are pulled side by side.
    private func pull(_ engine: any ContainerEngine, _ references: Set<String>) throws {
        let pulls = try references.map { try WatchedProcess(engine.pull($0)) }
        defer { for pull in pulls { pull.abandon() } }
        for pull in pulls {
            var measured = Measurement()
            try measured.add(pull, pull.awaitReady(limitSeconds: limitSeconds), limitSeconds: limitSeconds)
            if let error = measured.error { throw BenchError.answer("pull: \(error)") }
        }
    }

    private func awaitHellos(
        _ processes: [WatchedProcess], since begin: Int64, _ record: inout ScaleRecord
    ) throws {
        var hellos: [Double] = []
        for process in processes {
            var measured = Measurement()
            let outcome = process.awaitReady(limitSeconds: limitSeconds)
            try measured.add(process, outcome, limitSeconds: limitSeconds)
            if case .ready(let time) = outcome { hellos.append(Monotonic.seconds(from: begin, to: time)) }
            if measured.status != .ok { (record.status, record.error) = (measured.status, measured.error) }
        }
        record.helloSeconds = hellos.sorted()
        record.seconds = hellos.max() ?? 0
    }

    private func remove(_ container: ContainerRun, _ process: WatchedProcess, _ engine: any ContainerEngine) {
        let commands = stage.commands
        if !process.hasEnded {
            _ = try? commands.run(engine.kill(container.name), seconds: 30, interruptible: false)
            _ = process.awaitEnd(seconds: 30)
        }
        process.abandon()
        for command in engine.forget(container.name) {
            _ = try? commands.run(command, seconds: 30, interruptible: false)
        }
    }
}

extension Processes {
    /// What processes take of the memory, what they share divided among those who share it.
    ///
    /// - Parameters:
    ///   - naming: those count whose command line names something below this directory,
    ///   - networks: and those in one of these network namespaces.
    static func proportionalBytes(naming directory: String, networks: Set<UInt64>) -> UInt64 {
        Files.names(in: "/proc").reduce(0) { sum, name in
            guard let id = pid_t(name), id != getpid() else { return sum }
            let words = Files.text("/proc/\(name)/cmdline") ?? ""
            var info = stat()
            let isInside = stat("/proc/\(name)/ns/net", &info) == 0 && networks.contains(UInt64(info.st_ino))
            guard isInside || words.contains(directory + "/"),
                let rollup = Files.text("/proc/\(name)/smaps_rollup")
            else { return sum }
            return sum + Machine.number("Pss", in: rollup) << 10
        }
    }
}
