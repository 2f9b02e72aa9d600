// SPDX-License-Identifier: Apache-2.0

import Glibc

/// containerd with one of its own snapshotters: the whole image is pulled and unpacked before a container
/// starts.
final class ContainerdEngine: ContainerEngine {
    let name: String
    let tools = [
        (program: "containerd", package: "containerd"), (program: "ctr", package: "containerd"),
        (program: "runc", package: "runc"),
    ]
    let development: (any DevelopmentTools)?
    private let snapshotter: String
    private let place: EnginePlace
    private let base: String
    private var daemon: EngineDaemon?

    init(snapshotter: String, _ place: EnginePlace) {
        self.snapshotter = snapshotter
        self.place = place
        name = EngineName.containerd(snapshotter: snapshotter).description
        base = place.directory + "/" + name.replacing(":", with: "-")
        development = BuildahTools(place)
    }

    func versions() -> [String: String] {
        ["containerd": place.version(["containerd", "--version"], word: 2), "runc": place.runcVersion]
    }

    func begin() throws {
        try end()
        try Files.makeDirectory(base)
        try Files.write(Array(configuration.utf8), to: base + "/config.toml")
        let commands = place.commands
        daemon = try EngineDaemon(
            "containerd", ["containerd", "--config", base + "/config.toml"], log: base + "/log", commands
        ) { (try? commands.run(ctr("version"), seconds: 10)) != nil }
        try checkSnapshotter()
    }

    func end() throws {
        daemon?.stop()
        daemon = nil
        Leftovers.kill(below: base)
        try Leftovers.remove(base, place.commands)
    }

    private var configuration: String {
        """
        version = 2
        root = "\(base)/root"
        state = "\(base)/state"
        disabled_plugins = ["io.containerd.grpc.v1.cri"]
        [grpc]
        address = "\(base)/sock"

        """
    }

    private func checkSnapshotter() throws {
        let plugins = try place.commands.run(ctr("plugins", "list"))
        let line = plugins.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }.first {
            $0.count > 2 && $0[0] == "io.containerd.snapshotter.v1" && $0[1] == snapshotter
        }
        guard let line else {
            throw BenchError.answer("--engine \(name): containerd has no snapshotter '\(snapshotter)'")
        }
        if line.last != "ok" {
            throw BenchError.answer(
                "--engine \(name): snapshotter '\(snapshotter)' cannot be used: \(line.last ?? "")")
        }
    }

    private func ctr(_ words: String...) -> [String] { ["ctr", "-a", base + "/sock"] + words }

    func pull(_ reference: String) -> [String] {
        ctr("images", "pull", "--plain-http", "--snapshotter", snapshotter, reference)
    }

    func push(_ reference: String, as target: String) -> [[String]] {
        [ctr("images", "push", "--plain-http", target, reference)]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        ctr("run", "--rm", "--snapshotter", snapshotter) + Ctr.options(container)
    }

    func kill(_ container: String) -> [String] { ctr("tasks", "kill", "-s", "KILL", container) }

    func forget(_ container: String) -> [[String]] { [ctr("containers", "remove", container)] }

    var daemons: [Int32] { daemon.map { [$0.id] } ?? [] }

    var storeDirectories: [String] { [base + "/root"] }
}

/// Words that ctr and the programs made after it share.
enum Ctr {
    /// What follows `run`.
    static func options(_ container: ContainerRun) -> [String] {
        var words = ["--with-ns", "network:" + container.network.path]
        for entry in container.task.environment { words += ["--env", entry] }
        for mount in container.mounts {
            words += ["--mount", "type=bind,src=\(mount.source),dst=\(mount.target),options=rbind:rw"]
        }
        return words + [container.reference, container.name] + container.task.argv
    }
}
