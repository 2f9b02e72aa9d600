// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct DaemonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon", abstract: "Start the daemon.",
        discussion: "Returns once it serves. Other commands start one by themselves when none runs.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Stay in the foreground until SIGTERM or SIGINT.")
    var foreground = false

    @Option(name: .customLong("ready-fd"), help: .hidden)
    var readyDescriptor: Int32?

    func run() throws {
        try Requirements.check()
        if foreground { return try DaemonProcess.run(global.places, readyDescriptor: readyDescriptor) }
        try DaemonStarter(global.places).start()
    }
}
