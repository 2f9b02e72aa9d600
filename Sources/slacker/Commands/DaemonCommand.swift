// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct DaemonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon", abstract: "Start the daemon.",
        discussion: """
            Returns once it serves. Other commands start one by themselves when none runs.

            Every setting is an option too:

            \(ConfigurationReference.flags)
            """)

    @OptionGroup var global: GlobalOptions

    @Option(name: .customLong("set"), help: "SECTION.NAME=VALUE, a setting; may be repeated.")
    var settings: [String] = []

    @Flag(help: "Stay in the foreground until SIGTERM or SIGINT.")
    var foreground = false

    @Option(name: .customLong("ready-fd"), help: .hidden)
    var readyDescriptor: Int32?

    func run() throws {
        try Requirements.check()
        let configuration: Configuration
        do throws(Failure) { configuration = try global.configuration(settings) } catch {
            if let readyDescriptor { DaemonProcess.tell(readyDescriptor, error.message) }
            throw error
        }
        if foreground { return try DaemonProcess.run(configuration, readyDescriptor: readyDescriptor) }
        let starter = DaemonStarter(
            configuration.places, file: global.config.map(Paths.absolute), settings: settings)
        guard try starter.start() == .started || settings.isEmpty else {
            throw Failure(
                .inUse, "\(configuration.places.run): a daemon runs with settings of its own; stop it first")
        }
    }
}
