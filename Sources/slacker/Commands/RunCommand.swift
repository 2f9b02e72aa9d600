// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc
import Mounts

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a command in a new container.",
        discussion: """
            The container's root is a clone of IMAGE, a volume with the container's name. All after IMAGE is \
            the command, untouched. The exit status is the container's; 127 and 126 mean that its command \
            was not found or could not be run.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        name: [.customShort("v"), .long], help: "SOURCE:TARGET[:ro], a file or directory of this machine.")
    var volume: [String] = []

    @Option(name: [.customShort("e"), .long], help: "NAME=VALUE, or NAME for the value it has here.")
    var env: [String] = []

    @Flag(name: [.customShort("i"), .long], help: "Pass standard input on.")
    var interactive = false

    @Flag(name: [.customShort("t"), .long], help: "Give the container a terminal.")
    var tty = false

    @Flag(name: .customLong("rm"), help: "Remove the volume when the container ends.")
    var remove = false

    @Option(help: "Name of the container and of its volume. (default: one is made up)")
    var name: String?

    @Flag(help: "Mount the image itself, shared and read-only, in place of a clone.")
    var readOnly = false

    @Option(help: "host: this machine's network; none: a loopback interface only.")
    var network = Network.host

    @Option(help: "Size of the root file system, such as 10G. (default: the image's)")
    var size: SizeArgument?

    @Option(name: [.customShort("u"), .long], help: "USER[:GROUP], names or numbers.")
    var user: String?

    @Option(name: [.customShort("w"), .customLong("workdir")], help: "Working directory.")
    var workingDirectory: String?

    @Option(help: "Replaces the image's entrypoint; '' removes it.")
    var entrypoint: String?

    @Flag(help: .hidden)
    var timings = false

    @Argument(help: "The image.")
    var image: String

    @Argument(parsing: .captureForPassthrough, help: "The command. (default: the image's)")
    var command: [String] = []

    enum Network: String, ExpressibleByArgument, CaseIterable {
        case host, none
    }

    func validate() throws {
        for entry in volume {
            do { _ = try BundleOptions.HostMount(parsing: Self.absoluteSource(entry)) } catch {
                throw ValidationError("\(error)")
            }
        }
        if readOnly, size != nil {
            throw ValidationError("--size: a --read-only container has no volume of its own")
        }
        if tty, isatty(0) == 0 { throw ValidationError("-t: standard input is not a terminal; leave -t out") }
    }

    func run() throws {
        let clock = Stopwatch(isShown: timings)
        try Requirements.check()
        let runtime: Runtime
        do throws(MountsError) {
            runtime = try Runtime.find(runDirectory: global.places.run, searchPath: Self.searchPath())
        } catch {
            throw Failure(.unavailable, "\(error)")
        }
        let client = try global.connect()
        let container = try client.call("POST", "containers", request(), as: ContainerInfo.self)
        clock.lap("daemon")
        for timing in container.timings { clock.report("  " + timing.step, timing.milliseconds) }
        let status = run(runtime, container)
        clock.lap("runtime")
        _ = try client.call("DELETE", "containers/\(container.id)", as: Done.self)
        clock.lap("release")
        throw ExitStatus(code: try status.get())
    }

    /// From here on the container is ours: whatever happens, it is given back before an error is told.
    private func run(_ runtime: Runtime, _ container: ContainerInfo) -> Result<Int32, Failure> {
        let process = RuntimeProcess(runtime: runtime, container: container)
        return Result { () throws(Failure) in try process.run(passInput: interactive || tty) }
    }

    private func request() -> ContainerRequest {
        var request = ContainerRequest(image: image, clientProcess: getpid())
        request.name = name
        request.command = command
        request.entrypoint = entrypoint
        request.environment = env.compactMap(Self.environmentEntry)
        request.user = user
        request.workingDirectory = workingDirectory
        request.volumes = volume.map(Self.absoluteSource)
        request.terminal = tty
        request.readOnly = readOnly
        request.network = network.rawValue
        request.sizeBytes = size?.bytes
        request.remove = remove
        return request
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

    private static func searchPath() -> String? {
        getenv("PATH").map { String(cString: $0) }
    }
}
