// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How a container comes into its network.
enum ContainerNetwork {
    /// The engine is told which one it is.
    case named
    /// The engine's command is started in it.
    case inherited
    /// There is none of its own: it is in this machine's.
    case machine
}

/// What containers need of this machine while they run: network namespaces and fresh copies of mounted
/// folders.
final class ContainerSession {
    private let place: EnginePlace
    private var directories: [String] = []

    init(_ place: EnginePlace) {
        self.place = place
    }

    func container(_ name: String, reference: String, task: ContainerTask) throws -> ContainerRun {
        let mounts = try task.mounts.map { mount in
            let directory = try Files.makeTemporaryDirectory(in: place.directory)
            directories.append(directory)
            // Programs of the container may run as anybody.
            chmod(directory, 0o777)
            try mount.write(to: directory)
            return (source: directory, target: mount.target)
        }
        return ContainerRun(
            name: name, reference: reference, task: task, mounts: mounts,
            network: try NetworkSpace(place.commands))
    }

    /// Starts a container's command; its URL is asked for in the container's network.
    func start(
        _ arguments: [String], _ container: ContainerRun, _ network: ContainerNetwork
    ) throws -> WatchedProcess {
        let begin = { [task = container.task] in
            try WatchedProcess(arguments, input: task.stdin, ready: task.ready)
        }
        let process = try network == .inherited ? container.network.inside(begin) : begin()
        try network == .machine ? process.askURL() : container.network.inside { process.askURL() }
        return process
    }

    /// Removes the copies.
    func end() {
        for directory in directories {
            _ = try? place.commands.run(["rm", "-rf", "--one-file-system", directory], interruptible: false)
        }
        directories = []
    }
}
