// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct PushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Send an image to a registry or another place.",
        discussion: """
            REF is HOST/REPOSITORY:TAG, s3://BUCKET/PREFIX#NAME or dir:PATH#NAME. Only blocks that the other \
            side lacks are sent. What containers of the image read first goes in front, if that was recorded.

            Example: slacker push python registry.example/team/python:3.12
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(
        name: .customLong("also-oci"), help: "Push an ordinary image too, and attach the block image to it.")
    var alsoOrdinary = false

    @Flag(name: .customLong("no-boot-pack"), help: "Do not put what containers read first in front.")
    var noBootPack = false

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "The image.")
    var image: String

    @Argument(help: "Where to.")
    var reference: String

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        var request = PushRequest(image: image, reference: RemotePlace.absolute(reference))
        request.alsoOrdinary = alsoOrdinary
        request.bootPack = !noBootPack
        let begun = try client.call("POST", "pushes", request, as: OperationInfo.self)
        let ended = try OperationWatch(client, interrupt, name: "\(image): push").wait(begun)
        guard let push = ended.push else { return }
        if json { return try Output.json(push) }
        Output.summary(
            "\(push.reference): sent \(Size.text(push.sentBytes)) for \(Size.text(push.sentPlainBytes)), "
                + "\(Size.text(push.reusedPlainBytes)) were there, in \(Seconds.text(push.seconds))")
        if let ordinary = push.ordinaryReference { Output.summary("\(ordinary): the ordinary image") }
    }
}

/// References as the daemon needs them, which has another working directory.
enum RemotePlace {
    /// `SCHEME:PATH` with a relative path is completed.
    static func absolutePath(_ text: String) -> String {
        guard let colon = text.firstIndex(of: ":") else { return text }
        let path = text[text.index(after: colon)...]
        return path.isEmpty ? text : text[...colon] + Paths.absolute(String(path))
    }

    /// `dir:` with a relative path is completed.
    static func absolute(_ reference: String) -> String {
        guard reference.hasPrefix("dir:"), !reference.hasPrefix("dir:/") else { return reference }
        return "dir:" + Paths.absolute(String(reference.dropFirst("dir:".count)))
    }
}
