// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct VolumesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "volumes", abstract: "List volumes.",
        discussion: "Example: slacker volumes --quiet")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let volumes = try global.connect().call("GET", "volumes", as: [VolumeInfo].self)
        if json { return try Output.json(volumes) }
        if Output.isQuiet { return Output.lines(volumes.map(\.name)) }
        Output.table(
            ["NAME", "IMAGE", "CREATED", "SIZE", "CHANGED", "IN USE"],
            volumes.map { volume in
                [
                    volume.name, volume.image.isEmpty ? "-" : volume.image, volume.created,
                    Size.text(volume.sizeBytes), Size.text(volume.dirtyBytes),
                    volume.broken.map { "damaged: \($0)" } ?? volume.inUse ?? "-",
                ]
            })
    }
}
