// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// What is known of a finished layer; a file beside it holds it as JSON.
struct LayerFacts: Codable, Equatable {
    /// SHA-256 in hexadecimal digits, of the compressed layer and of its tar.
    let digest: String
    let diffID: String
    let compressedBytes: Int
    let tarBytes: Int
    /// Seconds since 1970; see `LayerTree.settleTimes`.
    let time: Int
}

/// Makes one layer after another, each in the file system that those below it make up.
///
/// overlayfs tells a layer apart from those below it, as it does for the usual container engines: what a step wrote
/// lies in a folder of its own. While one layer is compressed, the next is made already.
final class LayerBuilder {
    private let cache: ImageCache
    private let commands: Commands
    private let work: String
    private var packing: (key: String, time: Int, process: ChildProcess)?
    private var hasLists = false

    /// - Parameter work: an empty folder in the file system of the cache.
    init(_ cache: ImageCache, work: String, _ commands: Commands) {
        self.cache = cache
        self.work = work
        self.commands = commands
    }

    /// Ends what still runs.
    func stop() {
        packing?.process.stop(graceSeconds: 0)
        packing = nil
    }

    /// Makes sure that a layer is there, at least as a tree whose compression goes on.
    ///
    /// - Parameter keys: the names of this layer, the last, and of all below it, from the lowest up.
    func make(_ recipe: LayerRecipe, keys: [String]) throws {
        guard let key = keys.last else { preconditionFailure("a layer has a name") }
        if packing?.key == key { return }
        if Files.exists(cache.facts(key)), Files.exists(cache.tree(key)) { return }
        let tree = cache.tree(key)
        let below = keys.dropLast()
        let lower = try below.last.map(time) ?? 0
        var start = Glibc.time(nil)
        if !Files.exists(tree) {
            let system = try needs(recipe)
            try commands.run(["rm", "-rf", "--one-file-system", place], seconds: 300)
            try Files.makeDirectories(place + "/upper")
            start = Glibc.time(nil)
            try make(recipe, above: below, system: system)
            _ = try LayerTree(place + "/upper").settleTimes(since: start, lower: lower)
            // A tree that is there is a complete one.
            try Files.rename(place + "/upper", to: tree)
        }
        let finished = try LayerTree(tree, above: below.map(cache.tree))
        try pack(finished, key: key, time: try finished.settleTimes(since: start, lower: lower))
    }

    /// Where a layer is made.
    private var place: String { work + "/layer" }

    private func time(_ key: String) throws -> Int {
        if let packing, packing.key == key { return packing.time }
        return try facts(key).time
    }

    /// Makes a system with apt, and lets it find out which packages there are, if the recipe wants any.
    ///
    /// - Returns: the system's name.
    private func needs(_ recipe: LayerRecipe) throws -> String? {
        let suite: String
        switch recipe {
        case .packages(_, let name, _, _), .unpacked(_, let name, _): suite = name
        case .system, .command, .files: return nil
        }
        let system = LayerRecipe.system(suite: suite)
        let keys = LayerKey.keys(of: [system])
        try make(system, keys: keys)
        if !hasLists {
            try commands.run(["rm", "-rf", "--one-file-system", place], seconds: 300)
            try Files.makeDirectories(place)
            let folders = folders(lower: cache.tree(keys[0]))
            try runScript(
                LayerScripts.command(LayerScripts.update, folders + [cache.packages, cache.lists]),
                "apt-get update", seconds: 300)
            hasLists = true
        }
        return keys[0]
    }

    /// What is known of a layer; waits until it is compressed.
    func facts(_ key: String) throws -> LayerFacts {
        if packing?.key == key { try finishPacking() }
        guard let facts = Self.stored(cache.facts(key)) else {
            throw BenchError.answer("\(cache.facts(key)): not there or damaged; remove it and build again")
        }
        return facts
    }

    static func stored(_ path: String) -> LayerFacts? {
        Files.bytes(path).flatMap { try? JSONDecoder().decode(LayerFacts.self, from: Data($0)) }
    }

    // MARK: - Making

    private func folders(lower: String) -> [String] {
        [place + "/upper", place + "/overlay", place + "/root", lower]
    }

    private func make(_ recipe: LayerRecipe, above keys: ArraySlice<String>, system: String?) throws {
        if case .files(let files) = recipe {
            try write(files, to: place + "/upper")
        } else {
            try runScript(try script(recipe, above: keys, system: system), recipe.title, seconds: 1800)
        }
    }

    /// Runs a script whose text would say nothing in an error.
    private func runScript(_ words: [String], _ title: String, seconds: Double) throws(BenchError) {
        do throws(BenchError) {
            try commands.run(words, seconds: seconds)
        } catch .commandFailed(_, let status, let output) {
            throw .commandFailed(command: title, status: status, output: output)
        } catch .timedOut(_, let seconds) {
            throw .timedOut(command: title, seconds: seconds)
        }
    }

    private func script(
        _ recipe: LayerRecipe, above keys: ArraySlice<String>, system: String?
    ) throws -> [String] {
        let none = place + "/none"
        try Files.makeDirectories(none)
        let trees = keys.reversed().map(cache.tree)
        let folders = folders(lower: trees.isEmpty ? none : trees.joined(separator: ":"))
        switch recipe {
        case .system(let suite):
            return LayerScripts.command(LayerScripts.bootstrap, folders + [suite])
        case .packages(let names, _, let before, let after):
            let words = [cache.packages, cache.lists, before ?? "", after ?? ""] + names
            return LayerScripts.command(LayerScripts.install, folders + words)
        case .unpacked(let names, _, let after):
            let tool = system.map(cache.tree) ?? none
            let words = [cache.packages, cache.lists, tool, after ?? ""] + names
            return LayerScripts.command(LayerScripts.unpack, folders + words)
        case .command(let command):
            return LayerScripts.command(LayerScripts.run, folders + [command])
        case .files:
            preconditionFailure("files are placed without a script")
        }
    }

    private func write(_ files: [LayerRecipe.PlacedFile], to tree: String) throws {
        for file in files {
            let path = tree + file.path
            if let slash = path.lastIndex(of: "/") { try Files.makeDirectories(String(path[..<slash])) }
            try Files.write(file.content, to: path, mode: mode_t(file.mode))
        }
    }

    // MARK: - Packing

    /// Writes the layer as a compressed tar, beside us.
    private func pack(_ tree: LayerTree, key: String, time: Int) throws {
        try finishPacking()
        let folder = work + "/packing"
        try commands.run(["rm", "-rf", folder])
        try Files.makeDirectories(folder)
        let tar = try tree.tarCommand(using: folder, time: time)
        let script = """
            cd "$1"
            shift
            "$@" >layer.tar
            sha256sum layer.tar >diff-id
            gzip -n -6 <layer.tar >layer.tar.gz
            sha256sum layer.tar.gz >digest
            stat -c %s layer.tar >size
            rm layer.tar
            """
        let process = try ChildProcess(
            ["sh", "-euc", script, "hellobench", folder] + tar, outputPath: folder + "/output")
        packing = (key, time, process)
    }

    /// Waits for the layer that is being compressed, and enters it.
    func finishPacking() throws {
        guard let (key, time, process) = packing else { return }
        packing = nil
        let folder = work + "/packing"
        let status = try process.wait(seconds: 1200)
        if status != 0 {
            let tail = (Files.text(folder + "/output") ?? "").split(separator: "\n").suffix(2)
            throw BenchError.commandFailed(
                command: "tar", status: status, output: tail.joined(separator: "; "))
        }
        func word(_ file: String) -> String {
            (Files.text(folder + "/" + file) ?? "").prefix { $0 != " " && $0 != "\n" }.description
        }
        let facts = LayerFacts(
            digest: word("digest"), diffID: word("diff-id"),
            compressedBytes: try Files.size(folder + "/layer.tar.gz"), tarBytes: Int(word("size")) ?? 0,
            time: time)
        try Files.rename(folder + "/layer.tar.gz", to: cache.blob(key))
        try Files.write(Array(try JSONEncoder().encode(facts)), to: folder + "/facts")
        try Files.rename(folder + "/facts", to: cache.facts(key))
    }
}
