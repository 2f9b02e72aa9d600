// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench run`: push, pull and run of the workloads' images, with several engines in turns.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Measures push, pull and run of images to the moment an application says hello.",
        discussion: """
            Engines take turns with each image, over a line of their own to a registry in a network \
            namespace. Stores are emptied and caches dropped before each cold start. A workload that fails \
            or takes too long is a row that says so. The exit status is 1 when there was one, 0 otherwise.
            """)

    @Option(help: "Engines, with commas between: \(EngineName.all).")
    var engine: [String]

    @OptionGroup var images: ImageOptions
    @OptionGroup var bench: BenchOptions

    @Option(help: "Operations, with commas between: push, pull, run. Without pull, run pulls by itself.")
    var ops = "pull,run"

    @Option(help: "Rounds.")
    var runs = 3

    @Flag(help: "Start each container a second time, with everything warm.")
    var warm = false

    @Option(
        help:
            "Measure the development cycle: put this file into the image, commit, push, pull elsewhere, run.")
    var change: String?

    @Option(help: "Write what is measured to this file, one JSON object a line.")
    var out: String?

    @Flag(help: "Go on with --out, leaving out what it holds already.")
    var resume = false

    @Option(help: "Seconds after which a pull, push or commit counts as failed.")
    var limit = 900.0

    func validate() throws {
        guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
        guard limit > 0 else { throw ValidationError("--limit is above 0") }
        do {
            _ = try engines
            _ = try operations
            _ = try bench.shape
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private var engines: [EngineName] {
        get throws { try EngineName.list(engine) }
    }

    private var operations: Set<Operation> {
        get throws {
            var operations: Set<Operation> = []
            for word in ops.split(separator: ",") {
                guard let operation = Operation(rawValue: String(word)), operation != .commit else {
                    throw BenchError.answer("--ops: '\(word)' is none of push, pull, run")
                }
                operations.insert(operation)
            }
            if operations.isEmpty { throw BenchError.answer("--ops: name at least one of push, pull, run") }
            return change == nil ? operations : Set(Operation.allCases)
        }
    }

    func run() throws {
        let workloads = try images.selected()
        try checkChange()
        let origin = try images.origin(workloads)
        let shape = try bench.shape
        let cycle: Cycle = change == nil ? .deployment : .development
        try RunResults.check(path: out, resumes: resume)
        let stage = try BenchStage(bench, needs: BenchStage.tools)
        defer { stage.cleanup.run() }
        let engines = try engines.map { try stage.place.make($0) }
        try Requirements.check(
            engines.flatMap { $0.tools + (change == nil ? [] : $0.development?.tools ?? []) })
        let results = try RunResults(path: out, resumes: resume, cycle: cycle, link: shape?.record)
        try results.add(
            MachineRecord(versions: engines.reduce(into: [:]) { $0.merge($1.versions()) { old, _ in old } }))
        let settings = CycleSettings(
            run: results.done.run ?? "\(cycle.rawValue)-\(MachineRecord.now)", link: shape,
            operations: try operations,
            warm: warm, limitSeconds: limit,
            change: change.map { ($0, "/" + ($0.split(separator: "/").last ?? "change")) }
        )
        let supply = ImageSupply(
            origin: origin, registry: stage.registry, commands: stage.commands)
        let schedule = RunSchedule(
            workloads: workloads, engines: engines, runs: runs, supply: supply,
            bench: CycleBench(settings, stage.place, stage.registry), settings: settings, results: results)
        try schedule.run()
        // What was pushed to be measured is forgotten.
        if settings.operations.contains(.push) { try stage.registry.collect() }
        let table = RunTable(
            samples: results.samples, images: workloads.map(\.name), engines: engines.map(\.name))
        Terminal.result(table.text)
        if schedule.failures > 0 { throw ExitCode(1) }
    }

    private func checkChange() throws(BenchError) {
        guard let change else { return }
        var info = stat()
        if stat(change, &info) != 0 { throw .last("stat", change) }
        if info.st_mode & S_IFMT != S_IFREG { throw .answer("--change \(change): not a regular file") }
    }
}

/// Which images are measured, and where they come from.
struct ImageOptions: ParsableArguments {
    @OptionGroup var selection: WorkloadOptions

    @Option(help: "Take the images from a registry, such as docker.io/library, not from what was built here.")
    var from: String?

    @Option(help: "Where 'hellobench build' has kept the images.")
    var cache: String?

    /// Those that were asked for; of all of them, only those that can be had from there.
    func selected() throws -> [Workload] {
        let selected = try selection.selected()
        if selection.images != nil || from != nil { return selected }
        return selected.filter { $0.debian != nil }
    }

    /// - Throws: the names of those that have yet to be built.
    func origin(_ workloads: [Workload]) throws -> ImageOrigin {
        if let from { return .registry(from) }
        let cache = try ImageCache(cache)
        var layouts: [String: String] = [:]
        for workload in workloads {
            layouts[workload.name] = ImageBuilder.finishedLayout(of: workload, in: cache)
        }
        let missing = workloads.filter { $0.debian != nil && layouts[$0.name] == nil }.map(\.name)
        if !missing.isEmpty {
            throw BenchError.answer(
                "not built yet: \(missing.joined(separator: ", ")); run: hellobench build --images "
                    + missing.joined(separator: ","))
        }
        return .layouts(layouts)
    }
}

/// What the programs that measure containers share.
struct BenchOptions: ParsableArguments {
    @Option(help: "Width and round trip of the line to the registry; 'none' for neither.")
    var link = "1gbit,0.5ms"

    @Option(help: "The slacker program. (default: the one beside this program, or in PATH)")
    var slacker: String?

    @Option(help: "Where state is kept while it runs.")
    var directory = "/var/tmp"

    @Option(help: "Where the registry keeps its images from run to run. (default: in the cache directory)")
    var store: String?

    var shape: LinkShape? {
        get throws(BenchError) { link == "none" ? nil : try LinkShape(parsing: link) }
    }

    /// Beside the images that were built.
    var storage: String {
        if let store { return store }
        func value(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let cache =
            value("SLACKER_CACHE") ?? value("XDG_CACHE_HOME").map { $0 + "/slacker" }
            ?? (value("HOME") ?? "/root") + "/.cache/slacker"
        return cache + "/hellobench/registry"
    }
}
