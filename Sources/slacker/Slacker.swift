// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc

@main
struct Slacker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slacker",
        abstract: "Container storage: images become block-level clones in milliseconds.",
        version: Version.program,
        subcommands: [
            DaemonCommand.self, ImportCommand.self, ExportCommand.self, PullCommand.self, PushCommand.self,
            ImagesCommand.self, InspectCommand.self, DiffCommand.self, CloneCommand.self,
            SnapshotCommand.self, VolumesCommand.self,
            MountCommand.self, UmountCommand.self, RunCommand.self, ProfileCommand.self, FillCommand.self,
            RemoveCommand.self, UsageCommand.self, StatusCommand.self, TopCommand.self, EventsCommand.self,
            TraceCommand.self, WhyCommand.self, DoctorCommand.self, ConfigCommand.self,
            CollectCommand.self, FsckCommand.self, ScrubCommand.self, VersionCommand.self, InternalVerb.self,
        ])

    static func main() {
        // A reader of our output that goes away ends a write, not the program: mounts must be given back.
        signal(SIGPIPE, SIG_IGN)
        // The daemon's children pass here on the way to every container; they need no command line parsed.
        if CommandLine.arguments.dropFirst().first == "internal" { Glibc.exit(InternalCommand.main()) }
        if CommandLine.arguments.dropFirst().first == "keeper" {
            Glibc.exit(Keeper.main(Array(CommandLine.arguments.dropFirst(2))))
        }
        var arguments = GlobalOptions.moveLeading(Array(CommandLine.arguments.dropFirst()))
        if ["daemon", "config"].contains(arguments.first) { arguments = FlagSetting.unfold(arguments) }
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
        } catch let status as ExitStatus {
            Glibc.exit(status.code)
        } catch let failure as Failure {
            Output.error(failure.message)
            Glibc.exit(1)
        } catch {
            Glibc.exit(finish(error))
        }
    }

    /// Help goes to standard output; a usage error is one line, like every other error.
    private static func finish(_ error: any Error) -> Int32 {
        if exitCode(for: error).isSuccess {
            Output.print(fullMessage(for: error))
            return 0
        }
        let text = message(for: error).split(separator: "\n").first.map(String.init) ?? "wrong usage"
        Output.error(text + (text.hasSuffix(".") ? " " : "; ") + "see 'slacker --help'")
        return exitCode(for: error) == .validationFailure ? 2 : 1
    }
}

/// Ends the program with a status and without a word.
struct ExitStatus: Error {
    let code: Int32
}
