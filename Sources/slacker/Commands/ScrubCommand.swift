// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ScrubCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrub", abstract: "Read every chunk again, and fetch anew what has gone bad.",
        discussion: """
            The daemon does that in the background by itself, at scrub.rate bytes a second, each scrub.interval. Without \
            a flag this shows how it stands. The exit status is 1 when chunks are damaged that no source has.

            Example: slacker scrub --start
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Begin a round now.")
    var start = false

    @Flag(help: "Let it stand still until --resume or --start.")
    var pause = false

    @Flag(help: "Let it go on.")
    var resume = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if [start, pause, resume].count(where: { $0 }) > 1 {
            throw ValidationError("--start, --pause and --resume exclude each other; give one")
        }
    }

    func run() throws {
        let action: ScrubRequest.Action? = start ? .start : pause ? .pause : resume ? .resume : nil
        let info = try global.connect().call("POST", "scrubs", ScrubRequest(action), as: ScrubInfo.self)
        if json { try Output.json(info) } else { Self.show(info) }
        if !info.damaged.isEmpty { throw ExitStatus(code: 1) }
    }

    static func show(_ info: ScrubInfo) {
        Output.fields([
            (
                "scrub",
                "\(info.state.rawValue), \(Share.text(info.doneBytes, of: info.totalBytes)) of the round"
            ),
            ("last round", info.lastEnded ?? "none yet"),
            ("fetched anew", info.mendedChunks > 0 ? "\(info.mendedChunks) chunks" : nil),
        ])
        for chunk in info.damaged { Output.print("damaged: \(Printable.text(chunk))") }
    }
}
