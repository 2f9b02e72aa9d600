// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import Glibc
import Mounts

/// What can be said about a container, whatever it is made for.
struct ContainerOptions: ParsableArguments {
    @Option(
        name: [.customShort("v"), .long], help: "SOURCE:TARGET[:ro], a file or directory of this machine.")
    var volume: [String] = []

    @Option(name: [.customShort("e"), .long], help: "NAME=VALUE, or NAME for the value it has here.")
    var env: [String] = []

    @Option(help: "host: this machine's network; none: a loopback interface only.")
    var network = Network.host

    @Option(name: [.customShort("u"), .long], help: "USER[:GROUP], names or numbers.")
    var user: String?

    @Option(name: [.customShort("w"), .customLong("workdir")], help: "Working directory.")
    var workingDirectory: String?

    @Option(help: "Replaces the image's entrypoint; '' removes it.")
    var entrypoint: String?

    @Option(help: "Ask the registry of IMAGE always, when it is missing, or never. (default: as configured)")
    var pull: Pull?

    @Option(help: "Which image of an index to pull, such as linux/arm64. (default: this machine's)")
    var platform: String?

    enum Network: String, ExpressibleByArgument, CaseIterable {
        case host, none
    }

    enum Pull: String, ExpressibleByArgument, CaseIterable {
        case always, missing, never
    }

    func validate() throws {
        for entry in volume {
            do { _ = try BundleOptions.HostMount(parsing: Self.absoluteSource(entry)) } catch {
                throw ValidationError("\(error)")
            }
        }
    }

    func request(_ image: String, _ command: [String]) -> ContainerRequest {
        var request = ContainerRequest(image: RemotePlace.absolute(image), clientProcess: getpid())
        request.command = command
        request.entrypoint = entrypoint
        request.environment = env.compactMap(Self.environmentEntry)
        request.user = user
        request.workingDirectory = workingDirectory
        request.volumes = volume.map(Self.absoluteSource)
        request.network = network.rawValue
        request.pull = pull?.rawValue
        request.platform = platform
        return request
    }

    /// Has the daemon make the container, and shows the pull of its image where that lasts.
    static func make(_ request: ContainerRequest, _ client: ControlClient) throws -> ContainerInfo {
        var request = request
        while true {
            let answer = try client.call("POST", "containers", request, as: ContainerAnswer.self)
            if let container = answer.container { return container }
            guard let operation = answer.operation else {
                throw Failure(.failed, "\(request.image): the daemon's answer holds nothing; restart it")
            }
            let interrupt = Interrupt()
            let ended = try OperationWatch(client, interrupt, name: "\(request.image): pull").wait(operation)
            interrupt.end()
            request.image = ended.image?.name ?? request.image
            request.pull = Pull.never.rawValue
        }
    }

    /// `-e NAME` takes the variable of this process over, and nothing when it is not set.
    private static func environmentEntry(_ text: String) -> String? {
        if text.contains("=") { return text }
        return getenv(text).map { "\(text)=\(String(cString: $0))" }
    }

    /// Sources may be relative to here; the daemon's working directory is another one.
    private static func absoluteSource(_ text: String) -> String {
        guard text.hasPrefix("./") || text.hasPrefix("../") || text == "." || text.hasPrefix(".:") else {
            return text
        }
        return Paths.absolute(text)
    }
}

/// The OCI runtime on this machine.
enum RuntimeSearch {
    static func find(_ places: Places) throws(Failure) -> Runtime {
        do throws(MountsError) {
            return try Runtime.find(
                runDirectory: places.run, searchPath: getenv("PATH").map { String(cString: $0) })
        } catch {
            throw Failure(.unavailable, "\(error)")
        }
    }
}
