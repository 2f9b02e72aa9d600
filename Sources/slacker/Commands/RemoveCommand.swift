// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import HTTP

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove images and volumes.",
        discussion: """
            Volumes keep what they need of an image that is removed.

            Example: slacker rm my-root python
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Images or volumes.")
    var names: [String]

    /// Goes on after a name that fails; each failure is one line.
    func run() throws {
        let client = try global.connect()
        var failed = false
        let patience = Patience("removing")
        defer { patience.end() }
        for name in names {
            do throws(Failure) {
                _ = try client.call("DELETE", "names/\(percentEncoded(name))", as: Done.self)
            } catch {
                Output.error(error.message)
                failed = true
            }
        }
        if failed { throw ExitStatus(code: 1) }
    }
}
