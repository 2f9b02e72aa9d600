// SPDX-License-Identifier: Apache-2.0

/// Makes or copies one image after the other; one that fails is a row that says so, and the rest go on.
struct ImageBuild {
    enum Target {
        case none
        case own
        case given(String)
    }

    private let cache: ImageCache
    private let from: String?
    private let builder: ImageBuilder?
    private let publisher: Publisher
    private let registry: String?

    init(
        cache: ImageCache, from: String?, registry: Target, rebuilds: Bool, _ cleanup: Cleanup
    ) throws {
        let directory = try Files.makeTemporaryDirectory(in: cache.directory)
        let commands = Commands(directory: directory)
        cleanup.add("remove \(directory)") {
            try commands.run(["rm", "-rf", directory], interruptible: false)
        }
        self.cache = cache
        self.from = from
        publisher = Publisher(commands: commands)
        switch registry {
        case .none: self.registry = nil
        case .own:
            self.registry = try RegistryProcess(
                storage: cache.registry, directory: directory, commands, cleanup
            ).address
        case .given(let address):
            try publisher.check(address)
            self.registry = address
        }
        builder = from == nil ? try ImageBuilder(cache, rebuilds: rebuilds, cleanup) : nil
    }

    /// - Returns: how many have failed.
    func run(_ workloads: [Workload]) throws -> Int {
        var table = Table(["image", "layers", "MiB", "MiB packed", "seconds", "manifest", "status"])
        var failed = 0
        for (index, workload) in workloads.enumerated() {
            Terminal.note("[\(index + 1)/\(workloads.count)] \(workload.name)")
            let start = ContinuousClock.now
            do {
                let row = try make(workload)
                table.add([workload.name] + row.sizes + [Self.seconds(since: start), row.digest, "ok"])
            } catch BenchError.interrupted {
                throw BenchError.interrupted
            } catch {
                failed += 1
                Terminal.note("  failed: \(error)")
                let reason = "\(error)".split(separator: "\n").first.map { String($0.prefix(160)) } ?? ""
                table.add([
                    workload.name, "", "", "", Self.seconds(since: start), "", "failed: " + reason,
                ])
            }
        }
        Terminal.result(table.text)
        return failed
    }

    private func make(_ workload: Workload) throws -> (sizes: [String], digest: String) {
        guard let builder else {
            try publisher.mirror(
                "\(from ?? "")/\(workload.image)", to: registry ?? "", name: workload.name)
            return (["", "", ""], "")
        }
        let layout = try builder.layout(for: workload)
        if let registry { try publisher.push(layout: layout, to: registry, name: workload.name) }
        return try summary(workload, layout)
    }

    private func summary(_ workload: Workload, _ layout: String) throws -> (sizes: [String], digest: String) {
        let keys = LayerKey.keys(of: workload.debian?.layers ?? [])
        let facts = keys.compactMap { LayerBuilder.stored(cache.facts($0)) }
        func mebibytes(_ bytes: Int) -> String { Format.fixed(Double(bytes) / 1048576, 1) }
        let index = Files.text(layout + "/index.json") ?? ""
        let digest = index.split(separator: "sha256:").dropFirst().first.map { String($0.prefix(12)) } ?? ""
        return (
            [
                "\(keys.count)", mebibytes(facts.reduce(0) { $0 + $1.tarBytes }),
                mebibytes(facts.reduce(0) { $0 + $1.compressedBytes }),
            ], digest
        )
    }

    private static func seconds(since start: ContinuousClock.Instant) -> String {
        let elapsed = ContinuousClock.now - start
        return Format.fixed(
            Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18, 1)
    }
}
