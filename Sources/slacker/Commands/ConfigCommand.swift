// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show the settings and where each has its value from.",
        discussion: """
            Those of the daemon if one runs, else those that one would start with here.

            Example: slacker config --json
            """)

    @OptionGroup var global: GlobalOptions

    @Option(name: .customLong("set"), help: "SECTION.NAME=VALUE, as 'slacker daemon' takes it.")
    var settings: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Print docs/configuration.md.")
    var reference = false

    @Flag(help: "Print a configuration file in which every setting is a comment.")
    var template = false

    func run() throws {
        if template { return Output.write(ConfigurationReference.template, to: 1) }
        if reference { return Output.write(ConfigurationReference.markdown, to: 1) }
        let configuration = try global.configuration(settings)
        let information =
            running(configuration) ?? ConfigurationInfo(process: nil, settings: configuration.entries)
        if json { return try Output.json(information) }
        Output.print(
            information.process.map { "# in force in the daemon, process \($0)" }
                ?? "# no daemon runs: it would start with these")
        Output.table(
            ["SETTING", "VALUE", "FROM"],
            information.settings.map { [$0.key, Self.shown($0.value), $0.origin] })
    }

    /// What a running daemon says; given settings ask what another would do.
    private func running(_ configuration: Configuration) -> ConfigurationInfo? {
        if !settings.isEmpty { return nil }
        let client = ControlClient(configuration.places, expectedRoot: nil, startDaemon: nil)
        return try? client.call("GET", "config", as: ConfigurationInfo.self)
    }

    private static func shown(_ value: SettingValue) -> String {
        value.description.isEmpty ? "-" : Printable.text(value.description)
    }
}
