// SPDX-License-Identifier: Apache-2.0

/// containerd with one of its own snapshotters.
///
/// The whole image is pulled and unpacked before a container starts.
final class ContainerdEngine: ContainerEngine {
    let name: String
    let tools = [
        (program: "containerd", package: "containerd"), (program: "ctr", package: "containerd"),
        (program: "runc", package: "runc"),
    ]
    let development: (any DevelopmentTools)?
    private let snapshotter: String
    private let place: EnginePlace
    private let host: ContainerdHost

    init(snapshotter: String, _ place: EnginePlace) {
        self.snapshotter = snapshotter
        self.place = place
        name = EngineName.containerd(snapshotter: snapshotter).description
        host = ContainerdHost(
            place.directory + "/" + name.replacing(":", with: "-"), ContainerdPrograms(), place)
        development = BuildahTools(place)
    }

    func versions() -> [String: String] { ["containerd": host.version, "runc": place.runcVersion] }

    func begin() throws {
        try end()
        try Files.makeDirectory(host.directory)
        try host.begin()
        try host.check(snapshotter: snapshotter, engine: name)
    }

    func end() throws {
        host.end()
        Leftovers.kill(below: host.directory)
        try Leftovers.remove(host.directory, place.commands)
    }

    func pull(_ reference: String) -> [String] {
        host.client("images", "pull", "--plain-http", "--snapshotter", snapshotter, reference)
    }

    func push(_ reference: String, as target: String) -> [[String]] {
        [host.client("images", "push", "--plain-http", target, reference)]
    }

    func run(_ container: ContainerRun, pulls: Bool) -> [String] {
        host.client("run", "--rm", "--snapshotter", snapshotter) + Ctr.options(container)
    }

    func kill(_ container: String) -> [String] { host.client("tasks", "kill", "-s", "KILL", container) }

    func forget(_ container: String) -> [[String]] { [host.client("containers", "remove", container)] }

    var daemons: [Int32] { host.daemon.map { [$0.id] } ?? [] }

    var storeDirectories: [String] { [host.store] }
}

/// Words that ctr and the programs made after it share.
enum Ctr {
    /// What follows `run`.
    ///
    /// - Parameter reference: the image as this engine calls it; nil for as everybody does.
    static func options(_ container: ContainerRun, _ reference: String? = nil) -> [String] {
        var words = ["--with-ns", "network:" + container.network.path]
        for entry in container.task.environment { words += ["--env", entry] }
        for mount in container.mounts {
            words += ["--mount", "type=bind,src=\(mount.source),dst=\(mount.target),options=rbind:rw"]
        }
        return words + [reference ?? container.reference, container.name] + container.task.argv
    }
}
