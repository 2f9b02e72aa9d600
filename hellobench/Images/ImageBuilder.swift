// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Makes images from Debian's packages, each layer once, whichever images it is part of.
final class ImageBuilder {
    static let tools = [
        (program: "mmdebstrap", package: "mmdebstrap"), (program: "unshare", package: "util-linux"),
        (program: "tar", package: "tar"), (program: "gzip", package: "gzip"),
        (program: "sha256sum", package: "coreutils"),
    ]

    private let cache: ImageCache
    private let commands: Commands
    private let work: String
    private let layers: LayerBuilder
    private let lock: CacheLock
    /// Forgets what the cache has of the layers that are asked for, each once.
    private let rebuilds: Bool
    private var rebuilt: Set<String> = []

    /// - Parameters:
    ///   - cleanup: is given what has to be undone; until then others wait for the cache.
    ///   - rebuilds: whether to make again what is there.
    init(_ cache: ImageCache, rebuilds: Bool = false, _ cleanup: Cleanup) throws(BenchError) {
        if geteuid() != 0 { throw .notRoot }
        let missing = Self.tools.filter { Requirements.find($0.program) == nil }
        if !missing.isEmpty { throw .missingTools(missing) }
        self.cache = cache
        self.rebuilds = rebuilds
        lock = try cache.lock()
        let work = try Files.makeTemporaryDirectory(in: cache.directory)
        let commands = Commands(directory: work)
        let layers = LayerBuilder(cache, work: work, commands)
        cleanup.add("remove \(work)") {
            layers.stop()
            try commands.run(["rm", "-rf", "--one-file-system", work], seconds: 300, interruptible: false)
        }
        self.work = work
        self.commands = commands
        self.layers = layers
    }

    /// Where the finished layout of a workload's image is; nil when it is not built, or cannot be.
    static func finishedLayout(of workload: Workload, in cache: ImageCache) -> String? {
        guard let image = workload.debian else { return nil }
        let path = path(of: workload, image, in: cache)
        return Files.exists(path + "/index.json") ? path : nil
    }

    private static func path(of workload: Workload, _ image: DebianImage, in cache: ImageCache) -> String {
        cache.layout(workload.name + "-" + LayerKey.name(of: image))
    }

    /// The folder of the OCI image layout of a workload's image, tagged `latest`; makes what is missing.
    func layout(for workload: Workload) throws -> String {
        guard let image = workload.debian else {
            throw BenchError.answer(
                "\(workload.name): cannot be made from Debian's packages: \(workload.whyNotDebian ?? "no recipe")"
            )
        }
        if !rebuilds, let path = Self.finishedLayout(of: workload, in: cache) { return path }
        let keys = LayerKey.keys(of: image.layers)
        for (index, recipe) in image.layers.enumerated() {
            try forget(keys[index])
            if !Files.exists(cache.facts(keys[index])) {
                Terminal.note("  layer \(index + 1) of \(image.layers.count): \(recipe.title)")
            }
            try layers.make(recipe, keys: Array(keys[...index]))
        }
        let finished = try zip(image.layers, keys).map { recipe, key in
            ImageLayout.Layer(title: recipe.title, blob: cache.blob(key), facts: try layers.facts(key))
        }
        let new = work + "/layout"
        try commands.run(["rm", "-rf", new])
        try ImageLayout(layers: finished, configuration: image.configuration).write(to: new, commands)
        let path = Self.path(of: workload, image, in: cache)
        try commands.run(["rm", "-rf", path])
        try Files.rename(new, to: path)
        return path
    }

    private func forget(_ key: String) throws {
        if rebuilds, rebuilt.insert(key).inserted {
            try layers.finishPacking()
            try commands.run(
                ["rm", "-rf", "--one-file-system", cache.facts(key), cache.tree(key)], seconds: 300)
        }
    }
}
