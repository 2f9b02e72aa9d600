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
            The container's root is a clone of IMAGE, a volume with the container's name. IMAGE is the name \
            of an image here, or HOST/REPOSITORY:TAG and what else 'slacker pull' takes: then it is pulled \
            first, which for a block image takes a moment. All after IMAGE is the command, untouched. The \
            exit status is the container's; 127 and 126 mean that its command was not found or could not be \
            run.

            Example: slacker run --rm python python3 -c "print(1)"
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var container: ContainerOptions

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

    @Option(help: "Size of the root file system, such as 10G. (default: the image's)")
    var size: SizeArgument?

    @Flag(help: .hidden)
    var timings = false

    @Argument(help: "The image.")
    var image: String

    @Argument(parsing: .captureForPassthrough, help: "The command. (default: the image's)")
    var command: [String] = []

    func validate() throws {
        if readOnly, size != nil {
            throw ValidationError("--size: a --read-only container has no volume of its own")
        }
        if tty, isatty(0) == 0 { throw ValidationError("-t: standard input is not a terminal; leave -t out") }
    }

    func run() throws {
        let clock = Stopwatch(isShown: timings)
        try Requirements.check()
        let configuration = try global.configuration()
        let runtime = try RuntimeSearch.find(configuration.places)
        let client = try global.connect(configuration)
        clock.lap("client")
        let info: ContainerInfo
        do { info = try ContainerOptions.make(request(), client) } catch let failure as Failure {
            // As shells have it.
            switch failure.code {
            case .commandNotFound: throw Self.end(failure, 127)
            case .commandNotExecutable: throw Self.end(failure, 126)
            default: throw failure
            }
        }
        clock.lap("daemon")
        for timing in info.timings { clock.report("  " + timing.step, timing.milliseconds) }
        let status = run(runtime, info)
        clock.lap("runtime")
        _ = try client.call("DELETE", "containers/\(info.id)", as: Done.self)
        clock.lap("release")
        throw ExitStatus(code: try status.get())
    }

    private static func end(_ failure: Failure, _ status: Int32) -> ExitStatus {
        Output.error(failure.message)
        return ExitStatus(code: status)
    }

    /// From here on the container is ours: whatever happens, it is given back before an error is told.
    private func run(_ runtime: Runtime, _ container: ContainerInfo) -> Result<Int32, Failure> {
        let process = RuntimeProcess(runtime: runtime, container: container)
        return Result { () throws(Failure) in try process.run(passInput: interactive || tty) }
    }

    private func request() -> ContainerRequest {
        var request = container.request(image, command)
        request.name = name
        request.terminal = tty
        request.readOnly = readOnly
        request.sizeBytes = size?.bytes
        request.remove = remove
        return request
    }
}
