// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct CloneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clone", abstract: "Make a writable volume from an image.",
        discussion: "Example: slacker clone python my-root --size 20G")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The image.")
    var image: String

    @Argument(help: "Name of the new volume.")
    var volume: String

    @Option(help: "Size of the volume and its file system, such as 10G. (default: the image's)")
    var size: SizeArgument?

    func run() throws {
        let request = CloneRequest(image: image, volume: volume, sizeBytes: size?.bytes)
        let client = try global.connect()
        _ = try Patience.during("cloning") { try client.call("POST", "clones", request, as: VolumeInfo.self) }
    }
}
