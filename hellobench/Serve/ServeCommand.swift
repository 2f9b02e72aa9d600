// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench serve`: servers from a cold start on, and what they do in each second.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Measures what servers do in each second, from a cold start on, for minutes.",
        discussion: """
            postgres is kept busy by pgbench, redis by redis-benchmark, nginx, httpd, node and iojs by wrk. \
            Time begins with the pull. Engines take turns. The exit status is 1 when something failed, 0 otherwise.
            """)

    @Option(help: "Engines, with commas between: \(EngineName.all).")
    var engine: [String]

    @OptionGroup var images: ImageOptions
    @OptionGroup var bench: BenchOptions

    @Option(help: "Minutes of each server, from the begin of the pull.")
    var minutes = 5.0

    @Option(help: "Rounds.")
    var runs = 1

    @Option(help: "Add what is measured to this file, one JSON object a line.")
    var out: String?

    func validate() throws {
        guard runs >= 1 else { throw ValidationError("--runs is at least 1") }
        guard (0.1...1440).contains(minutes) else { throw ValidationError("--minutes is from 0.1 to 1440") }
        do {
            _ = try EngineName.list(engine)
            _ = try bench.shape
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        let servers = try servers
        let origin = try images.origin(servers.map(\.workload))
        let shape = try bench.shape
        let tools = servers.map(\.generator.tool)
        let lines = try out.map { path throws(BenchError) in try JSONLines(path: path, appending: true) }
        let stage = try BenchStage(bench, needs: BenchStage.tools + tools)
        defer { stage.cleanup.run() }
        let engines = try EngineName.list(engine).map { try stage.place.make($0) }
        try Requirements.check(engines.flatMap(\.tools))
        try lines?.write(
            MachineRecord(versions: engines.reduce(into: [:]) { $0.merge($1.versions()) { old, _ in old } }))
        let supply = ImageSupply(origin: origin, registry: stage.registry, commands: stage.commands)
        let schedule = ServeSchedule(
            servers: servers, engines: engines, runs: runs, supply: supply,
            bench: ServeBench(stage, link: shape, seconds: Int(minutes * 60)), link: shape, lines: lines)
        try schedule.run()
        Terminal.result(schedule.text)
        if schedule.failures > 0 { throw ExitCode(1) }
    }

    private var servers: [ServeSchedule.Server] {
        get throws {
            let isNamed = images.selection.images != nil
            let selected = try images.selected().filter { workload in
                isNamed || LoadGenerator.defaults.contains(workload.name)
            }
            let servers = try selected.map { workload in
                guard let generator = LoadGenerator.of(workload) else {
                    throw BenchError.answer(
                        "\(workload.name): nothing to keep it busy with; there is for "
                            + LoadGenerator.all.joined(separator: ", "))
                }
                return ServeSchedule.Server(workload: workload, generator: generator)
            }
            if servers.isEmpty {
                throw BenchError.answer(
                    "no server is selected; there are \(LoadGenerator.all.joined(separator: ", "))")
            }
            return servers
        }
    }
}
