// SPDX-License-Identifier: Apache-2.0

/// Turns the objects of a file of workloads into what they mean.
struct WorkloadDecoder {
    let suite: String
    /// The content of a program by its name.
    let programs: (String) -> [UInt8]?
    private var bases: [(name: String, layers: [LayerRecipe])] = []

    init(suite: String, programs: @escaping (String) -> [UInt8]?) {
        self.suite = suite
        self.programs = programs
    }

    /// Images that others are made from; each may be made from those above it.
    mutating func addBases(_ reader: NodeReader) throws(WorkloadError) {
        for (name, base) in try reader.dictionary() {
            let object = try base.object(keys: ["from", "layers"])
            bases.append((name, try layers(object)))
        }
    }

    func workload(_ reader: NodeReader) throws(WorkloadError) -> Workload {
        let object = try reader.object(
            keys: ["name", "image", "category", "task", "debian", "whyNotDebian", "notes"])
        let task = try task(try object.required("task"), over: nil)
        if (object["debian"] == nil) == (object["whyNotDebian"] == nil) {
            throw reader.error("either \"debian\" or \"whyNotDebian\" must be there")
        }
        let name = try object.required("name")
        guard try name.name().utf8.allSatisfy({ Self.nameCharacters.contains($0) }) else {
            throw name.error("a name has small letters, digits, - and . only")
        }
        return Workload(
            name: try name.string(), image: try object.required("image").name(),
            category: try object.required("category").choice(of: Workload.Category.self), task: task,
            debian: try object["debian"].map { reader throws(WorkloadError) in try debian(reader, task) },
            whyNotDebian: try object["whyNotDebian"]?.name(), notes: try object["notes"]?.strings() ?? [])
    }

    private static let nameCharacters = Set("abcdefghijklmnopqrstuvwxyz0123456789-.".utf8)

    // MARK: - Tasks

    /// - Parameter base: what holds where the object says nothing.
    func task(_ reader: NodeReader, over base: ContainerTask?) throws(WorkloadError) -> ContainerTask {
        let object = try reader.object(
            keys: ["kind", "argv", "stdin", "mounts", "environment", "ready", "timeLimit"])
        let kind = try object["kind"]?.choice(of: ContainerTask.Kind.self) ?? base?.kind
        guard let kind else { throw reader.error("the key \"kind\" is missing") }
        var task =
            base
            ?? ContainerTask(
                kind: kind, argv: [], stdin: nil, mounts: [], environment: [],
                ready: .exit(status: 0, output: nil), timeLimitSeconds: Self.usualTimeLimitSeconds)
        if base?.kind != kind, object["ready"] == nil, [.waitLine, .waitURL].contains(kind) {
            throw reader.error("the key \"ready\" is missing")
        }
        task.kind = kind
        if let argv = object["argv"] { task.argv = try argv.strings() }
        if let stdin = object["stdin"] { task.stdin = try stdin.string() }
        if let mounts = object["mounts"] { task.mounts = try self.mounts(mounts) }
        if let environment = object["environment"] { task.environment = try self.environment(environment) }
        if let ready = object["ready"] { task.ready = try self.ready(ready, kind) }
        if let limit = object["timeLimit"] { task.timeLimitSeconds = try limit.integer(in: 1...3600) }
        if (task.stdin != nil) != (kind == .stdin) {
            throw reader.error("\"stdin\" goes with the kind stdin, and with no other")
        }
        return task
    }

    private static let usualTimeLimitSeconds = 120

    private func ready(_ reader: NodeReader, _ kind: ContainerTask.Kind) throws(WorkloadError) -> Ready {
        switch kind {
        case .echo, .command, .stdin:
            let object = try reader.object(keys: ["status", "output"])
            return .exit(
                status: try object["status"]?.integer(in: 0...255) ?? 0,
                output: try object["output"]?.name())
        case .waitLine:
            let object = try reader.object(keys: ["lines", "occurrence"])
            let lines = try object.required("lines")
            var texts: [String] = []
            for line in try lines.array() { texts.append(try line.name()) }
            if texts.isEmpty { throw lines.error("at least one text to wait for is needed") }
            return .line(anyOf: texts, occurrence: try object["occurrence"]?.integer(in: 1...100) ?? 1)
        case .waitURL:
            let object = try reader.object(keys: ["port", "path", "body"])
            return .url(
                port: try object.required("port").integer(in: 1...65535),
                path: try object["path"]?.path() ?? "/", body: try object["body"]?.name())
        }
    }

    private func mounts(_ reader: NodeReader) throws(WorkloadError) -> [TaskMount] {
        var mounts: [TaskMount] = []
        for element in try reader.array() {
            let object = try element.object(keys: ["target", "files"])
            var files: [TaskMount.File] = []
            for (name, file) in try object.required("files").dictionary() {
                if name.isEmpty || name.contains("/") {
                    throw file.error("a file of a mount has a name without /")
                }
                files.append(TaskMount.File(name: name, content: try program(file)))
            }
            mounts.append(TaskMount(target: try object.required("target").path(), files: files))
        }
        return mounts
    }

    private func environment(_ reader: NodeReader) throws(WorkloadError) -> [String] {
        var words: [String] = []
        for (name, value) in try reader.dictionary() {
            if name.isEmpty || name.contains("=") { throw value.error("a variable's name has no =") }
            words.append(name + "=" + (try value.string()))
        }
        return words
    }

    private func program(_ reader: NodeReader) throws(WorkloadError) -> [UInt8] {
        let name = try reader.name()
        if !name.contains("/"), let content = programs(name) { return content }
        throw reader.error("\(name): no such file in the folder programs")
    }

    // MARK: - Images

    private func debian(_ reader: NodeReader, _ task: ContainerTask) throws(WorkloadError) -> DebianImage {
        let object = try reader.object(keys: [
            "fidelity", "from", "layers", "entrypoint", "command", "environment", "user", "directory", "task",
        ])
        let layers = try layers(object)
        if layers.isEmpty {
            throw reader.error("an image has at least one layer; \"from\" or \"layers\" is missing")
        }
        return DebianImage(
            fidelity: try object.required("fidelity").choice(of: DebianImage.Fidelity.self), layers: layers,
            configuration: ImageConfiguration(
                entrypoint: try object["entrypoint"]?.strings() ?? [],
                command: try object["command"]?.strings() ?? [],
                environment: try object["environment"].map(environment) ?? [],
                user: try object["user"]?.name(), directory: try object["directory"]?.path()),
            task: try object["task"].map { reader throws(WorkloadError) in
                try self.task(reader, over: task)
            } ?? task)
    }

    /// The layers of what `from` names, and those of the object itself on top of them.
    private func layers(_ object: ObjectReader) throws(WorkloadError) -> [LayerRecipe] {
        var layers: [LayerRecipe] = []
        if let from = object["from"] {
            let name = try from.name()
            guard let base = bases.first(where: { $0.name == name }) else {
                let near = NearMatch.names(like: name, in: bases.map(\.name))
                throw from.error(
                    "\(name): no such base above this"
                        + (near.isEmpty ? "" : "; did you mean \(near.joined(separator: " or "))?"))
            }
            layers = base.layers
        }
        for element in try object["layers"]?.array() ?? [] { layers.append(try layer(element)) }
        return layers
    }

    private func layer(_ reader: NodeReader) throws(WorkloadError) -> LayerRecipe {
        let object = try reader.object(
            keys: ["system", "packages", "unpacked", "files", "before", "run"])
        let run = try object["run"]?.name()
        let before = try object["before"]?.name()
        if before != nil, object["packages"] == nil {
            throw reader.error("\"before\" goes with \"packages\" only")
        }
        let kinds = ["system", "packages", "unpacked", "files"].filter { object[$0] != nil }
        if kinds.count > 1 { throw reader.error("\(kinds.joined(separator: " and ")) cannot be one layer") }
        if let system = object["system"] {
            guard try system.string() == "minbase" else { throw system.error("minbase is expected here") }
            return .system(suite: suite)
        }
        if let packages = object["packages"] {
            return .packages(try names(packages), suite: suite, before: before, after: run)
        }
        if let packages = object["unpacked"] {
            return .unpacked(try names(packages), suite: suite, after: run)
        }
        if let files = object["files"] { return .files(try placedFiles(files)) }
        if let run { return .command(run) }
        throw reader.error("a layer has one of system, packages, unpacked, files, run")
    }

    private func names(_ reader: NodeReader) throws(WorkloadError) -> [String] {
        var names: [String] = []
        for element in try reader.array() {
            let name = try element.name()
            let isPlain = name.utf8.allSatisfy { Self.nameCharacters.contains($0) || $0 == UInt8(ascii: "+") }
            if !isPlain || name.hasPrefix("-") { throw element.error("\(name): not a package's name") }
            names.append(name)
        }
        if names.isEmpty { throw reader.error("at least one package is needed") }
        return names
    }

    /// A file that begins with `#!` may be executed.
    private func placedFiles(_ reader: NodeReader) throws(WorkloadError) -> [LayerRecipe.PlacedFile] {
        var files: [LayerRecipe.PlacedFile] = []
        for (path, file) in try reader.dictionary() {
            guard path.hasPrefix("/"), path.split(separator: "/").allSatisfy({ $0 != ".." && $0 != "." })
            else {
                throw file.error("\(path): a path begins with / and has no . or ..")
            }
            let content = try program(file)
            let mode = content.starts(with: Array("#!".utf8)) ? 0o755 : 0o644
            files.append(LayerRecipe.PlacedFile(path: path, mode: mode, content: content))
        }
        return files
    }
}
