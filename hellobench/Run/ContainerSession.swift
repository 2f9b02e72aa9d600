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
    private var networks: [NetworkSpace] = []

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
        let network = try NetworkSpace(place.commands)
        networks.append(network)
        return ContainerRun(name: name, reference: reference, task: task, mounts: mounts, network: network)
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

    /// Removes the copies, and ends what a failure may have left of the containers.
    func end() {
        Leftovers.kill(inNetworks: Set(networks.map(\.inode)))
        networks = []
        for directory in directories {
            _ = try? place.commands.run(["rm", "-rf", "--one-file-system", directory], interruptible: false)
        }
        directories = []
    }
}
