// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import Glibc

struct FillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill", abstract: "Fetch the rest of lazily pulled images.",
        discussion: """
            Without a flag it ends when the images are whole, and Ctrl-C ends the fetching.

            Example: slacker fill --all --rate 10M
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Every image that is not whole.")
    var all = false

    @Flag(help: "Let it stand still.")
    var pause = false

    @Flag(help: "Let it go on.")
    var resume = false

    @Flag(help: "Show how far it is.")
    var status = false

    @Flag(help: "Do not wait for the end.")
    var detach = false

    @Option(help: "Bytes each second that all fills take together, such as 10M; 0 for no limit.")
    var rate: SizeArgument?

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "Images.")
    var images: [String] = []

    func validate() throws {
        if [pause, resume, status].count(where: { $0 }) > 1 {
            throw ValidationError("--pause, --resume and --status exclude each other; give one")
        }
        if all == !images.isEmpty, rate == nil, !status {
            throw ValidationError("give either images or --all")
        }
    }

    func run() throws {
        let client = try global.connect()
        let isAboutImages = all || !images.isEmpty
        if status {
            let fills =
                isAboutImages
                ? try call(client, nil) : try client.call("GET", "fills", as: [FillInfo].self)
            return try show(fills)
        }
        guard isAboutImages else {
            var request = FillRequest()
            request.bytesPerSecond = rate?.bytes
            _ = try client.call("POST", "fills", request, as: [FillInfo].self)
            return
        }
        let action: FillRequest.Action = pause ? .pause : resume ? .resume : .start
        let interrupt = Interrupt()
        let fills = try call(client, action)
        if action == .start, !detach { return try wait(client, interrupt, fills.map(\.image)) }
        if json { try show(fills) }
    }

    private func call(_ client: ControlClient, _ action: FillRequest.Action?) throws -> [FillInfo] {
        var request = FillRequest()
        request.images = images
        request.action = action
        request.bytesPerSecond = rate?.bytes
        return try client.call("POST", "fills", request, as: [FillInfo].self)
    }

    private func wait(_ client: ControlClient, _ interrupt: Interrupt, _ names: [String]) throws {
        var request = FillRequest()
        request.images = names
        var bar = ProgressBar()
        while !names.isEmpty {
            let fills = try client.call("POST", "fills", request, as: [FillInfo].self)
            if fills.allSatisfy(\.isOver) {
                bar.clear()
                try report(fills)
                return
            }
            bar.show(
                phase: "\(fills.count(where: { !$0.isOver })) of \(fills.count) images",
                doneBytes: fills.reduce(0) { $0 + $1.localBytes },
                totalBytes: fills.reduce(0) { $0 + $1.dataBytes })
            if let signal = interrupt.received() {
                bar.clear()
                request.action = .cancel
                _ = try? client.call("POST", "fills", request, as: [FillInfo].self)
                Output.error("fill cancelled")
                throw ExitStatus(code: 128 + signal)
            }
            usleep(100_000)
        }
    }

    private func report(_ fills: [FillInfo]) throws {
        if json { try show(fills) }
        let failed = fills.filter { $0.state != .complete }
        for fill in failed {
            Output.error("\(fill.image): some blocks could not be fetched; see 'slacker status'")
        }
        if !failed.isEmpty { throw ExitStatus(code: 1) }
    }

    private func show(_ fills: [FillInfo]) throws {
        if json { return try Output.json(fills) }
        Output.table(
            ["IMAGE", "FILL", "LOCAL", "DATA"],
            fills.map {
                [
                    $0.image, $0.state.rawValue, Share.text($0.localBytes, of: $0.dataBytes),
                    Size.text($0.dataBytes),
                ]
            })
    }
}
