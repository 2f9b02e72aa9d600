// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "Record what a container of an image reads until it is ready.",
        discussion: """
            Runs the image's command, or the one after --, in a container that is removed in the end. What \
            it read becomes the image's boot profile: 'slacker push' puts these blocks in front, so that a \
            cold start elsewhere finds them in one stream.

            Example: slacker profile redis --until-line "Ready to accept connections"
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var container: ContainerOptions

    @Option(help: "Ready once it prints a line with this text.")
    var untilLine: String?

    @Option(help: "Ready once this address answers with success.")
    var untilURL: String?

    @Flag(help: "Ready once it ends. (default)")
    var untilExit = false

    @Option(help: "Ready after so many seconds.")
    var seconds: Double?

    @Option(help: "Seconds after which it counts as failed that is not ready.")
    var timeout: Double = 300

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "The image.")
    var image: String

    @Argument(parsing: .postTerminator, help: "The command. (default: the image's)")
    var command: [String] = []

    private var readiness: Readiness {
        if let untilLine { return .line(untilLine) }
        if let untilURL { return .url(untilURL) }
        if let seconds { return .seconds(seconds) }
        return .exit
    }

    func validate() throws {
        let given = [untilLine != nil, untilURL != nil, untilExit, seconds != nil].count { $0 }
        if given > 1 {
            throw ValidationError("give one of --until-line, --until-url, --until-exit and --seconds")
        }
        if let seconds, !(0...86_400).contains(seconds) {
            throw ValidationError("--seconds \(seconds): not between 0 and 86400")
        }
        if untilLine?.isEmpty == true { throw ValidationError("--until-line: give a text") }
    }

    func run() throws {
        try Requirements.check()
        let configuration = try global.configuration()
        let runtime = try RuntimeSearch.find(configuration.places)
        let client = try global.connect(configuration)
        var request = container.request(image, command)
        request.remove = true
        request.record = true
        let info = try ContainerOptions.make(request, client)
        let result = Result { try record(RecordedContainer(runtime: runtime, container: info), client) }
        _ = try? client.call("DELETE", "containers/\(info.id)", as: Done.self)
        let profile = try result.get()
        if json { return try Output.json(profile) }
        let (touched, data) = (profile.touchedBytes, profile.dataBytes)
        Output.summary(
            "\(profile.image): \(Size.text(touched)) of \(Size.text(data)) were read "
                + "(\(Share.text(touched, of: data))), in \(profile.touches) runs of blocks")
    }

    /// The profile is closed before the container is stopped: its end is no part of a start.
    private func record(_ container: RecordedContainer, _ client: ControlClient) throws -> ProfileInfo {
        try container.start()
        defer { container.stop() }
        try container.wait(until: readiness, timeoutSeconds: timeout)
        let request = ProfileRequest(container: container.container.id)
        return try client.call("POST", "profiles", request, as: ProfileInfo.self)
    }
}
