// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version.",
        discussion: "Example: slacker version")

    func run() throws {
        Output.print("slacker \(Version.program)")
    }
}
