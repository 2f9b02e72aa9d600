// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Print what happens as JSON lines, until Ctrl-C.",
        discussion: """
            One object for each line: sequence, time, event, name and facts. Operations tell when they begin and end; \
            sources when they go down and come back.

            Example: slacker events --past | jq 'select(.event == "source.down")'
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Begin with what the daemon remembers, a thousand events at most.")
    var past = false

    @Flag(help: "End after what has happened so far; implies --past.")
    var noFollow = false

    private static let waitMs = 1000

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        var after: UInt64 = 0
        if !past, !noFollow {
            after = try client.call("GET", "events", as: [EventInfo].self).last?.sequence ?? 0
        }
        while true {
            let wait = noFollow ? 0 : Self.waitMs
            let events = try client.call("GET", "events?after=\(after)&wait_ms=\(wait)", as: [EventInfo].self)
            for event in events {
                Output.print(String(decoding: try JSON.encode(event), as: UTF8.self))
                after = event.sequence
            }
            if noFollow { return }
            if let signal = interrupt.received() { throw ExitStatus(code: 128 + signal) }
        }
    }
}
