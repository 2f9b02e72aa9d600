// SPDX-License-Identifier: Apache-2.0

import Glibc

/// containerd with the SOCI snapshotter: the ordinary image, read lazily with the help of an index beside it.
final class SociEngine: ContainerEngine {
    let name = "soci"
    let tools = PeerSystem.tools + [(program: "fusermount", package: "fuse3")]
    private let place: EnginePlace
    private let system: PeerSystem
    private let base: String
    private var host: ContainerdHost
    private var daemon: EngineDaemon?
    /// For each registry a port of the loopback interface that leads there.
    ///
    /// Its snapshotter asks for an index without TLS only at such an address.
    private var ports: [String: UInt16] = [:]
    private var forwarders: [ChildProcess] = []

    /// Its programs know no other place for what they store.
    private static let fixedDirectory = "/var/lib/soci-snapshotter-grpc"

    init(_ place: EnginePlace) throws {
        self.place = place
        base = place.directory + "/soci"
        system = try PeerSystem(["containerd", "soci-snapshotter"])
        host = ContainerdHost(
            base, system.containerd, proxy: .init(name: "soci", socket: base + "/soci.sock"), place)
    }

    func versions() -> [String: String] {
        guard (try? system.make(place.commands)) != nil, let soci = try? system.program("soci") else {
            return [:]
        }
        return ["soci": place.version([soci, "--version"], word: 2), "containerd of soci": host.version]
    }

    func begin() throws {
        try end()
        try system.make(place.commands)
        for directory in [base, base + "/store"] { try Files.makeDirectory(directory) }
        try takeFixedDirectory()
        try forward()
        try Files.write(Array(configuration.utf8), to: base + "/soci.toml")
        let socket = base + "/soci.sock"
        daemon = try EngineDaemon(
            "soci-snapshotter-grpc",
            [
                try system.program("soci-snapshotter-grpc"), "--address", socket, "--config",
                base + "/soci.toml",
                "--root", Self.fixedDirectory, "--log-level", "error",
            ], log: base + "/soci.log", place.commands
        ) { access(socket, F_OK) == 0 }
        try host.begin()
    }

    func end() throws {
        host.end()
        daemon?.stop()
        daemon = nil
        for forwarder in forwarders { forwarder.stop(graceSeconds: 1) }
        forwarders = []
        Leftovers.kill(below: base)
        let isOurs = Files.exists(base)
        if isOurs, !Leftovers.mountPoints(below: Self.fixedDirectory).isEmpty {
            for point in Leftovers.mountPoints(below: Self.fixedDirectory).reversed() {
                _ = umount2(point, Int32(MNT_DETACH))
            }
            _ = rmdir(Self.fixedDirectory)
        }
        try Leftovers.remove(base, place.commands)
    }

    /// Listens on the ports; the link stays between them and the registry.
    private func forward() throws {
        for registry in Set(place.registries).sorted() {
            let port = try ports[registry] ?? RegistryProcess.freePort()
            ports[registry] = port
            let log = "\(base)/forward-\(port).log"
            forwarders.append(
                try ChildProcess(
                    [
                        "/proc/self/exe", "delay", "--listen", "127.0.0.1:\(port)", "--to", registry,
                        "--round-trip",
                        "0",
                    ], outputPath: log))
            try place.commands.wait(for: "hellobench delay", seconds: 10) {
                (Files.text(log) ?? "").contains("ready")
            }
        }
    }

    /// The same image by the address that its programs are to use.
    private func near(_ reference: String) -> String {
        for (registry, port) in ports where reference.hasPrefix(registry + "/") {
            return "127.0.0.1:\(port)" + reference.dropFirst(registry.count)
        }
        return reference
    }

    /// Puts a directory of ours where its programs look.
    private func takeFixedDirectory() throws {
        let path = Self.fixedDirectory
        guard Files.names(in: path).isEmpty else {
            throw BenchError.answer(
                "\(path): holds what a SOCI snapshotter of this machine stores; move it away")
        }
        try Files.makeDirectories(path)
        try place.commands.run(["mount", "--bind", base + "/store", path])
    }

    private var configuration: String {
        ports.values.sorted().map { port in
            """
            [[resolver.host."127.0.0.1:\(port)".mirrors]]
            host = "127.0.0.1:\(port)"
            insecure = true

            """
        }.joined()
    }

    private func soci(_ words: String...) throws -> [String] {
        [try system.program("soci"), "--address", host.socket] + words
    }

    /// The ordinary image gets an index, which the registry keeps beside it.
    func prepare(_ image: BenchImage, _ registry: BenchRegistry) throws {
        let mark = image.artifactTag("soci", version: place.version(try soci("--version"), word: 2))
        if registry.has(image.repository, tag: mark) { return }
        let commands = place.commands
        try begin()
        do {
            let reference = near(registry.reference(image.repository, BenchRegistry.ordinaryTag))
            try commands.run(host.client("images", "pull", "--plain-http", reference), seconds: 900)
            try commands.run(try soci("create", reference), seconds: 900)
            try commands.run(try soci("push", "--plain-http", "--quiet", reference), seconds: 900)
            // The same image again, by a tag that says that it has an index.
            try commands.run(
                host.client(
                    "images", "push", "--plain-http", near(registry.reference(image.repository, mark)),
                    reference),
                seconds: 300)
        } catch {
            try? end()
            throw error
        }
        try end()
    }

    func pull(_ reference: String) -> [String] {
        (try? soci("image", "rpull", "--plain-http", near(reference))) ?? ["false"]
    }

    func fetchWhole(_ reference: String) -> [[String]] {
        [host.client("images", "pull", "--plain-http", near(reference))]
    }

    func push(_ reference: String, as target: String) -> [[String]] {
        [host.client("images", "push", "--plain-http", near(target), near(reference))]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        host.client("run", "--rm", "--snapshotter", "soci")
            + Ctr.options(container, near(container.reference))
    }

    func kill(_ container: String) -> [String] { host.client("tasks", "kill", "-s", "KILL", container) }

    func forget(_ container: String) -> [[String]] { [host.client("containers", "remove", container)] }

    var daemons: [Int32] { [host.daemon?.id, daemon?.id].compactMap { $0 } }

    var storeDirectories: [String] { [host.store, base + "/store"] }
}
