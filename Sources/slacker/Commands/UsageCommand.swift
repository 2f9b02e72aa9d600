// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct UsageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "df", abstract: "Show what images and volumes take, and what sharing saves.",
        discussion: "Example: slacker df --json")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let client = try global.connect()
        let usage = try Patience.during("counting") { try client.call("GET", "df", as: UsageInfo.self) }
        if json { return try Output.json(usage) }
        Output.table(
            ["IMAGE", "SIZE", "DATA", "UNIQUE", "SHARED"],
            usage.images.map { image in
                [
                    image.name, Size.text(image.sizeBytes), Size.text(image.dataBytes),
                    Size.text(image.uniqueBytes),
                    Size.text(image.sharedBytes),
                ]
            })
        Output.print("")
        Output.table(
            ["VOLUME", "SIZE", "CHANGED", "ON DISK"],
            usage.volumes.map { volume in
                [
                    volume.name, Size.text(volume.sizeBytes), Size.text(volume.dirtyBytes),
                    Size.text(volume.allocatedBytes),
                ]
            })
        Output.print("")
        Output.fields([
            ("chunks", "\(usage.chunkCount)"),
            ("data of all images", Size.text(usage.referencedBytes)),
            (
                "stored once",
                "\(Size.text(usage.chunkBytes)) (\(Size.text(usage.chunkAllocatedBytes)) on disk)"
            ),
            ("changed in volumes", Size.text(usage.deltaAllocatedBytes) + " on disk"),
        ])
    }
}
