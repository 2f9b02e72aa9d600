// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `hellobench delay`: a line to a server that is longer than it is.
struct DelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delay", abstract: "Forwards TCP connections and delays what goes through them.",
        discussion: """
            Prints "ready" once it listens, and runs until it is killed. Where the kernel has no netem, this stands for \
            the length of a line; a qdisc such as tbf stands for its width.
            """)

    @Option(help: "Address and port to listen on.")
    var listen: String

    @Option(help: "Address and port to forward to.")
    var to: String

    @Option(help: "Milliseconds of a round trip that are added.")
    var roundTrip = 0.5

    func run() throws {
        guard let listen = Endpoint(listen), let to = Endpoint(to) else {
            throw ValidationError("--listen and --to take ADDRESS:PORT")
        }
        guard (0...10_000).contains(roundTrip) else {
            throw ValidationError("--round-trip takes 0 to 10000 milliseconds")
        }
        let proxy = try DelayProxy(listen: listen, target: to, roundTripMilliseconds: roundTrip)
        Terminal.result("ready")
        try proxy.serve()
    }
}
