// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench analyze`: what images hold, what starts read of them, what they have in common.
struct AnalyzeCommand: ParsableCommand {
    enum Part: String, CaseIterable {
        case layers, dedup, reads, pull
    }

    static let configuration = CommandConfiguration(
        commandName: "analyze", abstract: "Analyses images and starts as the paper does, by measuring.",
        discussion: """
            layers: data by layer depth. dedup: what all images take together, stored in several ways. \
            reads: what a first and a second start of slacker's containers read and fetch. pull: the share \
            of the pull in the deployments of --results.
            """)

    @OptionGroup var images: ImageOptions
    @OptionGroup var bench: BenchOptions

    @Option(help: "Only these parts, with commas between: layers, dedup, reads, pull.")
    var only = Part.allCases.map(\.rawValue).joined(separator: ",")

    @Option(help: "A file of 'hellobench run', for the share of the pull.")
    var results: String?

    @Option(help: "Append what is found to this file, one JSON object a line.")
    var out: String?

    private var parts: Set<Part> {
        get throws {
            Set(
                try only.split(separator: ",").map { word in
                    guard let part = Part(rawValue: String(word)) else {
                        throw BenchError.answer("--only: '\(word)' is none of layers, dedup, reads, pull")
                    }
                    return part
                })
        }
    }

    func validate() throws {
        do {
            _ = try parts
            _ = try bench.shape
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        let parts = try parts
        var records: [AnalysisRecord] = []
        if parts.contains(.pull), let results { records += PullShare.records(try Results(paths: [results])) }
        if parts != [.pull] { records += try measured(parts) }
        if let out {
            let lines = try JSONLines(path: out, appending: true)
            for record in records { try lines.write(record) }
        }
        for record in records {
            let values = record.values.sorted { $0.key < $1.key }.map { "\($0.key) \(Self.text($0.value))" }
            Terminal.result("\(record.name)  \(record.image ?? "all")  \(values.joined(separator: ", "))")
        }
    }

    private static func text(_ value: Double) -> String {
        value >= 1024 ? Format.brief(value / 1_048_576) + " MiB" : Format.brief(value)
    }

    private func measured(_ parts: Set<Part>) throws -> [AnalysisRecord] {
        let workloads = try images.selected()
        let origin = try images.origin(workloads)
        let stage = try BenchStage(bench, needs: BenchStage.tools + [(program: "gzip", package: "gzip")])
        defer { stage.cleanup.run() }
        let supply = ImageSupply(origin: origin, registry: stage.registry, commands: stage.commands)
        let progress = ProgressLine(total: workloads.count)
        defer { progress.clear() }
        var records: [AnalysisRecord] = []
        var dedup = Deduplication()
        let reads =
            parts.contains(.reads)
            ? ReadAnalysis(stage: stage, shape: try bench.shape, engine: try SlackerEngine(stage.place)) : nil
        for workload in workloads {
            progress.show(workload.name)
            let image = try supply.image(workload)
            var imageBytes: UInt64 = 0
            let stored = try StoredImage(image, stage.registry)
            var depths: [String: Double] = [:]
            for (depth, layer) in stored.layers.reversed().enumerated() {
                let path = stage.registry.blob(layer.hexadecimal)
                let before = dedup.plain
                try dedup.add(digest: layer.digest, packedBytes: layer.size) { () throws(BenchError) in
                    try ByteStream(unpacking: path)
                }
                depths["\(depth + 1)"] = Double(dedup.plain - before)
                imageBytes += dedup.plain - before
            }
            if parts.contains(.layers) {
                records.append(AnalysisRecord(name: "layers", image: image.name, values: depths))
            }
            if let reads {
                do { records += try Self.records(reads.run(image), image, imageBytes) } catch BenchError
                    .interrupted
                {
                    throw BenchError.interrupted
                } catch { progress.note("\(image.name): \(error)") }
            }
            progress.advance()
        }
        if parts.contains(.dedup) { records.append(AnalysisRecord(name: "dedup", values: dedup.values)) }
        return records
    }

    private static func records(
        _ reads: (first: ReadAnalysis.Reads, second: ReadAnalysis.Reads), _ image: BenchImage,
        _ imageBytes: UInt64
    ) -> [AnalysisRecord] {
        let (first, second) = reads
        let misses = min(second.fetched, second.device)
        return [
            AnalysisRecord(
                name: "amplification", image: image.name,
                values: [
                    "imageBytes": Double(imageBytes), "readBytes": Double(first.device),
                    "fetchedBytes": Double(first.fetched),
                ]),
            AnalysisRecord(
                name: "second-run", image: image.name,
                values: ["hits": Double(second.device - misses), "misses": Double(misses)]),
        ]
    }
}

/// The share that the pull has in deployments, as samples have it.
enum PullShare {
    /// One record for each image and engine, from medians, and one for each engine over all images.
    static func records(_ results: Results) -> [AnalysisRecord] {
        let good = results.samples.filter {
            $0.status == .ok && $0.cold && ($0.cycle ?? .deployment) == .deployment
                && ($0.op == .pull || $0.op == .run)
        }
        var records: [AnalysisRecord] = []
        var shares: [String: [Double]] = [:]
        for image in inOrder(good.map(\.image)) {
            var values: [String: Double] = [:]
            for engine in inOrder(good.map(\.engine)) {
                let mine = good.filter { $0.image == image && $0.engine == engine }
                let pulls = mine.filter { $0.op == .pull }.map(\.seconds)
                let runs = mine.filter { $0.op == .run }.map(\.seconds)
                if pulls.isEmpty || runs.isEmpty { continue }
                let pull = Statistics(pulls).median
                values[engine] = pull / (pull + Statistics(runs).median)
                shares[engine, default: []].append(values[engine] ?? 0)
            }
            if !values.isEmpty {
                records.append(AnalysisRecord(name: "pull-share", image: image, values: values))
            }
        }
        if !shares.isEmpty {
            let medians = shares.mapValues { Statistics($0).median }
            records.append(AnalysisRecord(name: "pull-share", values: medians))
        }
        return records
    }

    private static func inOrder(_ names: [String]) -> [String] {
        names.reduce(into: []) { known, name in if !known.contains(name) { known.append(name) } }
    }
}
