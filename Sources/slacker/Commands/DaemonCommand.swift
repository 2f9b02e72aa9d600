// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc

struct DaemonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon", abstract: "Start the daemon.",
        discussion: """
            Returns once it serves. Other commands start one by themselves when none runs.

            Every setting is an option too:

            \(ConfigurationReference.flags)

            Example: slacker daemon --set metrics.listen=127.0.0.1:9820
            """)

    @OptionGroup var global: GlobalOptions

    @Option(name: .customLong("set"), help: "SECTION.NAME=VALUE, a setting; may be repeated.")
    var settings: [String] = []

    @Flag(help: "Stay in the foreground until SIGTERM or SIGINT.")
    var foreground = false

    @Flag(
        help:
            "Take the place of a daemon that runs, with this program and these settings; containers go on meanwhile."
    )
    var replace = false

    @Flag(help: "End the daemon that runs, and take all of its mounts away.")
    var stop = false

    @Option(name: .customLong("ready-fd"), help: .hidden)
    var readyDescriptor: Int32?

    func run() throws {
        try Requirements.check()
        let configuration: Configuration
        do throws(Failure) { configuration = try global.configuration(settings) } catch {
            if let readyDescriptor { DaemonProcess.tell(readyDescriptor, error.message) }
            throw error
        }
        if stop { return try end(configuration) }
        let starter = DaemonStarter(
            configuration.places, file: global.config.map(Paths.absolute), settings: settings)
        if foreground {
            let start = DaemonStart(
                configuration: configuration, command: starter.command(), replaces: replace,
                services: Services.all())
            return try DaemonProcess.run(start, readyDescriptor: readyDescriptor)
        }
        guard try starter.start(replacing: replace) == .started || settings.isEmpty else {
            throw Failure(
                .inUse, "\(configuration.places.run): a daemon runs with settings of its own; stop it first")
        }
    }

    /// Seconds that a daemon may take to flush and unmount what there is.
    private static let endSeconds = 120.0

    /// SIGINT is the end of everything, also under a service manager.
    private func end(_ configuration: Configuration) throws(Failure) {
        let places = configuration.places
        let starter = DaemonStarter(places, file: nil)
        let client = ControlClient(places, expectedRoot: configuration.namesRoot ? places.root : nil) {
            () throws(Failure) in try starter.waitIfKept()
        }
        let process = try client.call("GET", "status", as: StatusInfo.self).process
        kill(process, SIGINT)
        let limit = MonotonicTime.now.advanced(bySeconds: Self.endSeconds)
        while KeeperPresence.isThere(places) || kill(process, 0) == 0 {
            if MonotonicTime.now > limit {
                throw Failure(
                    .failed, "daemon: process \(process) has not ended; its log is \(places.log)")
            }
            usleep(20_000)
        }
    }
}
