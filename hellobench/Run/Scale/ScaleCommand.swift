// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench scale`: many containers at once, of one image and of many.
struct ScaleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Starts many containers at once and times the last hello.",
        discussion: """
            From empty stores: first so many containers of one image, for each of --counts, then one \
            container of each of several images. The exit status is 1 when a container failed, 0 otherwise.
            """)

    @Option(help: "Engines, with commas between: \(EngineName.all).")
    var engine: [String]

    @OptionGroup var images: ImageOptions
    @OptionGroup var bench: BenchOptions

    @Option(help: "The image of which there are many containers. (default: the first of --images)")
    var image: String?

    @Option(help: "How many containers of it, with commas between.")
    var counts = "1,10,50,100"

    @Option(help: "How many images at once, the first of --images; 0 to leave this out.")
    var together = 10

    @Option(help: "Rounds.")
    var runs = 1

    @Option(help: "Write what is measured to this file, one JSON object a line.")
    var out: String?

    @Option(help: "Seconds after which a start counts as failed.")
    var limit = 900.0

    func validate() throws {
        guard runs >= 1, limit > 0 else { throw ValidationError("--runs and --limit are above 0") }
        guard (0...1000).contains(together) else { throw ValidationError("--together is from 0 to 1000") }
        do {
            _ = try EngineName.list(engine)
            _ = try sizes
            _ = try bench.shape
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private var sizes: [Int] {
        get throws {
            try counts.split(separator: ",").map { word in
                guard let count = Int(word), (1...1000).contains(count) else {
                    throw BenchError.answer("--counts: '\(word)' is not a number from 1 to 1000")
                }
                return count
            }
        }
    }

    func run() throws {
        let workloads = try images.selected()
        guard let single = image.map({ name in workloads.first { $0.name == name } }) ?? workloads.first
        else {
            throw BenchError.answer("--image \(image ?? ""): none of the selected images")
        }
        let several = Array(workloads.prefix(together))
        let origin = try images.origin([single] + several)
        if let out, Files.exists(out) {
            throw BenchError.answer("\(out): is there already; name another file")
        }
        let stage = try BenchStage(bench, needs: BenchStage.tools)
        defer { stage.cleanup.run() }
        let engines = try EngineName.list(engine).map { try stage.place.make($0) }
        try Requirements.check(engines.flatMap(\.tools))
        let lines = try out.map { path throws(BenchError) in try JSONLines(path: path) }
        let versions = engines.reduce(into: [:]) { $0.merge($1.versions()) { old, _ in old } }
        try lines?.write(MachineRecord(versions: versions))
        let supply = ImageSupply(origin: origin, registry: stage.registry, commands: stage.commands)
        let starts = try sizes.map { Array(repeating: single, count: $0) } + (together > 1 ? [several] : [])
        let scale = ScaleBench(stage: stage, shape: try bench.shape, limitSeconds: limit)
        let progress = ProgressLine(total: runs * starts.count * engines.count)
        defer { progress.clear() }
        var table = Table([
            "containers", "images", "engine", "last hello", "median", "MiB in", "MiB each", "status",
        ])
        var failures = 0
        for step in RunStep.all(rounds: runs, images: starts.count, engines: engines.count) {
            let (engine, start) = (engines[step.engine], starts[step.image])
            progress.show("\(start.count) containers, \(engine.name), round \(step.round)")
            let record = try scale.run(engine, start.map { try supply.image($0) }, round: step.round)
            try lines?.write(record)
            if record.status != .ok { failures += 1 }
            table.add(Self.row(record))
            progress.advance()
        }
        progress.clear()
        Terminal.result(table.text)
        if failures > 0 { throw ExitCode(1) }
    }

    private static func row(_ record: ScaleRecord) -> [String] {
        func mebibytes(_ bytes: UInt64) -> String { Format.brief(Double(bytes) / 1_048_576) }
        let hellos = record.helloSeconds ?? []
        return [
            "\(record.containers)", "\(record.images)", record.engine, Format.brief(record.seconds),
            hellos.isEmpty ? "-" : Format.brief(Statistics(hellos).median), mebibytes(record.receivedBytes),
            record.memoryBytesPerContainer.map(mebibytes) ?? "-", record.error ?? record.status.rawValue,
        ]
    }
}
