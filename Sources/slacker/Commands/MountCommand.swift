// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount", abstract: "Mount an image or a volume on a directory.",
        discussion: """
            Images are mounted read-only; all mounts of one image share the page cache.

            Example: slacker mount my-root /mnt
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The image or volume.")
    var name: String

    @Argument(help: "An existing directory.")
    var directory: String

    @Flag(help: "Mount a volume so that it cannot be written.")
    var readOnly = false

    func run() throws {
        let client = try global.connect()
        let request = MountRequest(name: name, directory: try Paths.directory(directory), readOnly: readOnly)
        _ = try Patience.during("mounting") {
            try client.call("POST", "mounts", request, as: MountInfo.self)
        }
    }
}
