// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ImagesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "images", abstract: "List images.",
        discussion: "Example: slacker images --json")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let images = try global.connect().call("GET", "images", as: [ImageInfo].self)
        if json { return try Output.json(images) }
        if Output.isQuiet { return Output.lines(images.map(\.name)) }
        Output.table(
            ["NAME", "DIGEST", "CREATED", "SIZE", "DATA", "LOCAL"],
            images.map { image in
                [
                    image.name, image.broken.map { "damaged: \($0)" } ?? Self.short(image.digest),
                    image.created,
                    Size.text(image.sizeBytes), image.dataBytes.map(Size.text) ?? "-",
                    Self.local(image),
                ]
            })
    }

    /// How much of the data can be read without fetching.
    private static func local(_ image: ImageInfo) -> String {
        guard let data = image.dataBytes, let local = image.localBytes else { return "-" }
        return Share.text(local, of: data)
    }

    /// Enough of a digest to tell images apart.
    static func short(_ digest: String?) -> String {
        guard let digest else { return "-" }
        return String(digest.split(separator: ":").last?.prefix(12) ?? "-")
    }
}
