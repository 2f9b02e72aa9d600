// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot", abstract: "Make an image of a volume as it is now.",
        discussion: """
            A mounted volume's file system stands still for the moment that it takes.

            Example: slacker snapshot work python-with-tools
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The volume, or the container that runs on it.")
    var volume: String

    @Argument(help: "Name of the new image.")
    var image: String

    func run() throws {
        let request = SnapshotRequest(volume: volume, image: image)
        let client = try global.connect()
        _ = try Patience.during("taking the snapshot") {
            try client.call("POST", "snapshots", request, as: ImageInfo.self)
        }
    }
}
