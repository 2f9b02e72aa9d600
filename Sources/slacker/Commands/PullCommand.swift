// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct PullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Make an image of a registry or another place usable here.",
        discussion: """
            Blocks of a block image arrive when they are read, and the rest as 'slacker fill' and the \
            setting fill.policy want it. An ordinary image is fetched whole and flattened.

            Example: slacker pull registry.example/team/python:3.12 --name python
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "What the image is to be called here. (default: the reference)")
    var name: String?

    @Option(help: "Which image of an index, such as linux/arm64. (default: this machine's)")
    var platform: String?

    @Flag(help: "Attach a block image to the ordinary one at its registry, for the next who pull it.")
    var publish = false

    @Option(help: "When the rest of the image is fetched: never, idle or now. (default: as configured)")
    var fill: Fill?

    @Flag(help: "End when the whole image is here.")
    var whole = false

    @Option(
        help: ArgumentHelp(
            "Register the image in this namespace of containerd, for 'ctr run --snapshotter slacker'.",
            valueName: "namespace"))
    var containerd: String?

    @Option(help: "Socket of containerd.")
    var containerdAddress = "/run/containerd/containerd.sock"

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "The image, as 'slacker push' names it.")
    var reference: String

    enum Fill: String, ExpressibleByArgument, CaseIterable {
        case never, idle, now
    }

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        var request = PullRequest(reference: RemotePlace.absolute(reference))
        request.name = name
        request.platform = platform
        request.publish = publish
        request.fill = fill?.rawValue
        request.whole = whole
        let registration = try containerd.map { namespace throws(Failure) in
            try Registration(reference, namespace: namespace, address: containerdAddress)
        }
        let begun = try client.call("POST", "pulls", request, as: OperationInfo.self)
        // Asked of the registry beside the pull.
        let documents = try registration.map { registration throws(Failure) in
            try registration.documents(try global.configuration())
        }
        let ended = try OperationWatch(client, interrupt, name: "\(reference): pull").wait(begun)
        if let registration, let documents { try registration.run(documents) }
        if json, let pull = ended.pull { return try Output.json(pull) }
        guard let image = ended.image, let pull = ended.pull else { return }
        let fetched = Size.text(pull.fetchedBytes)
        Output.summary(
            "\(image.name): \(pull.kind) image, \(fetched) fetched in \(Seconds.text(pull.seconds))")
        if let published = pull.published { Output.summary("\(published): the block image") }
        if let registration { Output.summary(registration.text) }
    }
}
