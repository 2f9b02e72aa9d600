// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

/// Known to the parser so that the verb is not taken for something else; `main` serves it without a parser.
struct InternalVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "internal", abstract: "One action for the daemon.", shouldDisplay: false)

    func run() throws {
        throw ExitStatus(code: InternalCommand.main())
    }
}
