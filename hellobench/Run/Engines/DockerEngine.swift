// SPDX-License-Identifier: Apache-2.0

import Glibc

/// dockerd with stores of its own and overlay2.
///
/// It cannot put a container into a network namespace that is there, so containers use this machine's
/// network, and the ports that the images listen on must be free.
final class DockerEngine: ContainerEngine {
    let name = "docker"
    let tools = [
        (program: "docker", package: "docker.io"), (program: "dockerd", package: "docker.io"),
        (program: "containerd", package: "containerd"), (program: "runc", package: "runc"),
    ]
    let network = ContainerNetwork.machine
    let pullsByItself = true
    private let place: EnginePlace
    private let base: String
    private var daemon: EngineDaemon?

    init(_ place: EnginePlace) {
        self.place = place
        base = place.directory + "/docker"
    }

    func versions() -> [String: String] { ["docker": place.version(["dockerd", "--version"], word: 2)] }

    func begin() throws {
        try end()
        try Files.makeDirectory(base)
        var words = [
            "dockerd", "--host", "unix://\(base)/sock", "--data-root", base + "/root", "--exec-root",
            base + "/run",
            "--pidfile", base + "/pid", "--bridge", "none", "--iptables=false", "--ip6tables=false",
            "--storage-driver", "overlay2",
        ]
        for registry in place.registries { words += ["--insecure-registry", registry] }
        let commands = place.commands
        daemon = try EngineDaemon("dockerd", words, log: base + "/log", commands) {
            (try? commands.run(docker("info"), seconds: 10)) != nil
        }
    }

    func end() throws {
        daemon?.stop()
        daemon = nil
        Leftovers.kill(below: base)
        try Leftovers.remove(base, place.commands)
    }

    private func docker(_ words: String...) -> [String] {
        ["docker", "--host", "unix://\(base)/sock"] + words
    }

    func pull(_ reference: String) -> [String] { docker("pull", "--quiet", reference) }

    func push(_ reference: String, as target: String) -> [[String]] {
        [docker("tag", reference, target), docker("push", "--quiet", target)]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        var words = docker("run", "--rm", "--name", container.name, "--network", "host")
        words += ["--pull", pulls ? "missing" : "never"]
        if container.task.stdin != nil { words.append("-i") }
        for entry in container.task.environment { words += ["--env", entry] }
        for mount in container.mounts { words += ["--volume", "\(mount.source):\(mount.target)"] }
        return words + [container.reference] + container.task.argv
    }

    func kill(_ container: String) -> [String] { docker("kill", container) }

    func forget(_ container: String) -> [[String]] { [docker("rm", "--force", container)] }

    var daemons: [Int32] { daemon.map { [$0.id] } ?? [] }

    var storeDirectories: [String] { [base + "/root"] }
}
