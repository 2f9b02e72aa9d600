// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the daemon, its mounts and its containers.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let status = try global.connect().call("GET", "status", as: StatusInfo.self)
        if json { return try Output.json(status) }
        Output.fields([
            ("version", status.version), ("process", "\(status.process)"), ("root", status.root),
            ("run", status.run),
            ("up", "\(Int(status.uptimeSeconds)) s"), ("memory", Size.text(status.residentBytes)),
            ("images", "\(status.images)"), ("volumes", "\(status.volumes)"),
            ("imports", "\(status.operations.count) running"),
        ])
        if !status.mounts.isEmpty {
            Output.print("")
            Output.table(
                ["MOUNTED", "KIND", "MODE", "DEVICE", "DIRECTORY"],
                status.mounts.map { [$0.name, $0.kind, $0.readOnly ? "ro" : "rw", $0.device, $0.directory] })
        }
        if !status.containers.isEmpty {
            Output.print("")
            Output.table(
                ["CONTAINER", "IMAGE", "VOLUME"],
                status.containers.map { [$0.id, $0.image, $0.volume ?? "-"] })
        }
    }
}
