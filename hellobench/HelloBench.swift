// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc

/// Measures `slacker` from outside, side by side with what else there is; it shares no code with it.
@main
struct HelloBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hellobench",
        abstract: "Measures slacker side by side with the alternatives.",
        subcommands: [
            ListCommand.self, BuildCommand.self, RunCommand.self, ScaleCommand.self, ServeCommand.self,
            AnalyzeCommand.self, ReportCommand.self, IOCommand.self, DelayCommand.self,
        ])

    static func main() {
        Interrupt.install()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch BenchError.interrupted {
            Glibc.exit(130)
        } catch {
            // Wrong usage is 2, as with slacker and most programs; the library's own is 64.
            if exitCode(for: error) == .validationFailure {
                FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }
}
