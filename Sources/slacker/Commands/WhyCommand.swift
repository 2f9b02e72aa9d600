// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import HTTP

struct WhyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Tell why an image is, or would be, read lazily, or is not.",
        discussion: """
            REF is an image or volume here, or what 'slacker pull' takes; then its registry is asked, and nothing is \
            pulled.

            Example: slacker why registry.example/team/python:3.12
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "The image.")
    var reference: String

    func run() throws {
        let client = try global.connect()
        let path = "laziness/\(percentEncoded(RemotePlace.absolute(reference)))"
        let found = try Patience.during("asking") { try client.call("GET", path, as: LazinessInfo.self) }
        if json { return try Output.json(found) }
        Output.print("\(Printable.text(found.name)): \(Self.text(found.verdict))")
        for reason in found.reasons { Output.print("  because: \(Printable.text(reason))") }
        for remedy in found.remedies { Output.print("  to change that: \(Printable.text(remedy))") }
    }

    private static func text(_ verdict: LazinessInfo.Verdict) -> String {
        switch verdict {
        case .lazy: "lazy: blocks come when they are read"
        case .whole: "lazy, and whole by now"
        case .local: "not lazy: everything is here, and nowhere else"
        case .wouldBeLazy: "not here; a pull is lazy"
        case .wouldBeWhole: "not here; a pull fetches everything"
        case .unavailable: "cannot be used"
        }
    }
}
