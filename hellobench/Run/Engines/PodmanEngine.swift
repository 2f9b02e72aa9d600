// SPDX-License-Identifier: Apache-2.0

/// podman with stores of its own: no daemon, overlay on the local disk.
final class PodmanEngine: ContainerEngine {
    let name = "podman"
    let tools = [(program: "podman", package: "podman"), (program: "runc", package: "runc")]
    let daemons: [Int32] = []
    let pullsByItself = true
    private let place: EnginePlace
    private let base: String

    init(_ place: EnginePlace) {
        self.place = place
        base = place.directory + "/podman"
    }

    func versions() -> [String: String] { ["podman": place.version(["podman", "--version"], word: 2)] }

    func begin() throws {
        try end()
        try Files.makeDirectory(base)
    }

    func end() throws {
        Leftovers.kill(below: base)
        try Leftovers.remove(base, place.commands)
    }

    private func podman(_ words: String...) -> [String] {
        [
            "podman", "--root", base + "/root", "--runroot", base + "/run", "--tmpdir", base + "/tmp",
            "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
            "--runtime", "runc",
        ] + words
    }

    func pull(_ reference: String) -> [String] { podman("pull", "--quiet", "--tls-verify=false", reference) }

    func push(_ reference: String, as target: String) -> [[String]] {
        [podman("push", "--quiet", "--tls-verify=false", reference, target)]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        let network = "ns:" + container.network.path
        var words = podman("run", "--rm", "--name", container.name, "--network", network)
        words += ["--tls-verify=false", "--pull", pulls ? "missing" : "never"]
        if container.task.stdin != nil { words.append("-i") }
        for entry in container.task.environment { words += ["--env", entry] }
        for mount in container.mounts { words += ["--volume", "\(mount.source):\(mount.target)"] }
        return words + [container.reference] + container.task.argv
    }

    func kill(_ container: String) -> [String] { podman("kill", container) }

    func forget(_ container: String) -> [[String]] { [podman("rm", "--force", "--ignore", container)] }

    var storeDirectories: [String] { [base + "/root"] }
}
