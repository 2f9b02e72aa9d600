// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct CollectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Free what nothing refers to any more.",
        discussion: """
            Removing images and volumes does that by itself, soon afterwards; this waits for it. Safe beside \
            everything else. Packs in other places are not touched.

            Example: slacker gc --json
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let client = try global.connect()
        let freed = try Patience.during("collecting") {
            try client.call("POST", "collections", CollectRequest(), as: CollectInfo.self)
        }
        if json { return try Output.json(freed) }
        Output.summary(
            "freed \(freed.snapshots) snapshots and \(freed.chunks) chunks of \(Size.text(freed.bytes))")
    }
}
