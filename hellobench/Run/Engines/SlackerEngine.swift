// SPDX-License-Identifier: Apache-2.0

import Glibc

/// `slacker` with a daemon and directories of its own; images are pulled lazily from block images with boot
/// packs.
final class SlackerEngine: ContainerEngine {
    let name = "slacker"
    let tools = [(program: "runc", package: "runc")]
    let network = ContainerNetwork.inherited
    let pullsByItself = true
    private let program: String
    private let place: EnginePlace
    private let store: SlackerStore
    private let version: String

    init(_ place: EnginePlace) throws {
        self.place = place
        program = try Requirements.slacker(place.slacker)
        store = SlackerStore(program, directory: place.directory + "/slacker", place)
        version = place.version([program, "version"], word: 1)
    }

    func versions() -> [String: String] { ["slacker": version, "runc": place.runcVersion] }

    var development: (any DevelopmentTools)? { SlackerTools(store, place) }

    func begin() throws { try store.begin() }

    func end() throws { try store.end() }

    func tag(of image: BenchImage) -> String { image.artifactTag("slacker", version: version) }

    func prepare(_ image: BenchImage, _ registry: BenchRegistry) throws {
        if registry.has(image.repository, tag: tag(of: image)) { return }
        let preparation = SlackerPreparation(
            SlackerStore(program, directory: place.directory + "/slacker-prepare", place), place)
        try preparation.make(image, tag: tag(of: image), registry)
    }

    func pull(_ reference: String) -> [String] { store.command("pull", reference) }

    func fetchWhole(_ reference: String) -> [[String]] { [store.command("pull", "--whole", reference)] }

    func complete(_ reference: String) -> [[String]] { [store.command("fill", reference)] }

    func push(_ reference: String, as target: String) -> [[String]] {
        [store.command("push", reference, target)]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        store.run(container, options: ["--rm", "--pull", pulls ? "missing" : "never"])
    }

    func kill(_ container: String) -> [String] { store.kill(container) }

    func forget(_ container: String) -> [[String]] { [store.command("rm", container)] }

    var daemons: [Int32] { store.daemon.map { [$0.id] } ?? [] }

    var storeDirectories: [String] { [store.root] }
}

/// A daemon of `slacker` with empty directories, and the commands that speak to it.
final class SlackerStore {
    let root: String
    private let program: String
    private let directory: String
    private let place: EnginePlace
    private(set) var daemon: EngineDaemon?

    init(_ program: String, directory: String, _ place: EnginePlace) {
        self.program = program
        self.directory = directory
        self.place = place
        root = directory + "/root"
    }

    private var runDirectory: String { directory + "/run" }

    /// - Parameter settings: `SECTION_NAME=value` of the daemon's configuration.
    func begin(_ settings: [String] = []) throws {
        try end()
        try Files.makeDirectory(directory)
        let variables =
            ["REGISTRIES_PLAIN_HTTP=" + place.registries.joined(separator: ",")] + settings
        let commands = place.commands
        daemon = try EngineDaemon(
            "slacker daemon",
            ["env"] + variables.map { "SLACKER_" + $0 }
                + [program, "daemon", "--root", root, "--run", runDirectory, "--foreground"],
            log: directory + "/log", commands
        ) {
            access(runDirectory + "/slacker.sock", F_OK) == 0
                && (try? commands.run(command("status"), seconds: 10)) != nil
        }
    }

    func end() throws {
        daemon?.stop()
        daemon = nil
        Leftovers.kill(below: directory)
        try Leftovers.remove(directory, place.commands)
    }

    func command(_ verb: String, _ words: String...) -> [String] {
        [program, verb, "--root", root, "--run", runDirectory] + words
    }

    func run(_ container: ContainerRun, options: [String]) -> [String] {
        var words = command("run") + options + ["--name", container.name]
        if container.task.stdin != nil { words.append("-i") }
        for entry in container.task.environment { words += ["-e", entry] }
        for mount in container.mounts { words += ["-v", "\(mount.source):\(mount.target)"] }
        return words + [container.reference] + container.task.argv
    }

    func kill(_ container: String) -> [String] {
        ["runc", "--root", runDirectory + "/runc", "kill", container, "KILL"]
    }
}

/// Makes a block image with a boot pack of an ordinary image.
struct SlackerPreparation {
    private let store: SlackerStore
    private let place: EnginePlace

    init(_ store: SlackerStore, _ place: EnginePlace) {
        self.store = store
        self.place = place
    }

    func make(_ image: BenchImage, tag: String, _ registry: BenchRegistry) throws {
        let commands = place.commands
        // A start that takes long is recorded to its end.
        try store.begin(["RUN_RECORD_SECONDS=600"])
        do {
            try commands.run(
                store.command(
                    "pull", "--name", "image", registry.reference(image.repository, BenchRegistry.ordinaryTag)
                ),
                seconds: 600)
            try record(image)
            try commands.run(
                store.command("push", "image", registry.reference(image.repository, tag)), seconds: 600)
        } catch {
            try? store.end()
            throw error
        }
        try store.end()
    }

    /// What a start reads becomes the image's boot profile once its container has ended.
    private func record(_ image: BenchImage) throws {
        let session = ContainerSession(place)
        defer { session.end() }
        let container = try session.container("record", reference: "image", task: image.task)
        let process = try session.start(
            store.run(container, options: ["--rm", "--pull", "never"]), container, .inherited)
        let outcome = process.awaitReady(limitSeconds: Double(image.task.timeLimitSeconds))
        if !process.hasEnded { _ = try? place.commands.run(store.kill(container.name), interruptible: false) }
        _ = process.awaitEnd(seconds: 30)
        process.abandon()
        switch outcome {
        case .ready: break
        case .failed(let reason): throw BenchError.answer("\(image.name): \(reason)")
        case .timedOut:
            throw BenchError.timedOut(command: image.name, seconds: Double(image.task.timeLimitSeconds))
        case .interrupted: throw BenchError.interrupted
        }
        try place.commands.wait(for: "\(image.name): boot profile", seconds: 60) {
            try place.commands.run(store.command("inspect", "--json", "image")).contains(#""profile""#)
        }
    }
}

/// The development cycle: a clone is changed and becomes an image by a snapshot.
final class SlackerTools: DevelopmentTools {
    let tools: [(program: String, package: String)] = []
    private let store: SlackerStore
    private let place: EnginePlace
    private var point: String { place.directory + "/changed" }

    init(_ store: SlackerStore, _ place: EnginePlace) {
        self.store = store
        self.place = place
    }

    func change(_ reference: String, file: String, target: String) throws {
        let commands = place.commands
        try commands.run(store.command("pull", "--whole", reference), seconds: 600)
        try commands.run(store.command("clone", reference, "changed"))
        try Files.makeDirectory(point)
        try commands.run(store.command("mount", "changed", point))
        try commands.run(["cp", "--", file, point + target])
        try commands.run(store.command("umount", point))
    }

    func commit() -> [[String]] { [store.command("snapshot", "changed", "changed-image")] }

    func push(to target: String) -> [[String]] { [store.command("push", "changed-image", target)] }

    /// The store goes as a whole when the engine begins anew.
    func forget() throws {
        _ = rmdir(point)
    }
}
