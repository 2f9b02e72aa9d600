// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The line between this machine and the far side, a network namespace in which the registry stands.
///
/// A pair of virtual interfaces whose ends `tc` shapes with tbf; `hellobench delay` stands for the length,
/// since few kernels can delay packets. The counters of the near end say what went over it.
final class BenchLink {
    static let tools = [(program: "ip", package: "iproute2"), (program: "tc", package: "iproute2")]

    /// The far end, where the registry is reached.
    let farAddress: String
    /// The same end by another address, which passes for another machine.
    let otherAddress: String
    private let near: String
    private let far: String
    private let space: NetworkSpace
    private let commands: Commands
    private let cleanup: Cleanup
    private let directory: String
    private var fronts: [String: UInt16] = [:]

    init(directory: String, _ commands: Commands, _ cleanup: Cleanup) throws {
        self.directory = directory
        self.commands = commands
        self.cleanup = cleanup
        space = try NetworkSpace(commands)
        // A class of addresses that is set aside for measuring devices (RFC 2544): nobody routes it.
        let number = try Self.freeNumber()
        near = "hb\(number)near"
        far = "hb\(number)far"
        farAddress = "198.18.\(number).2"
        otherAddress = "198.18.\(number).3"
        let (near, far) = (near, far)
        cleanup.add("the link \(near)") {
            if Self.exists(near) { try commands.run(["ip", "link", "del", near], interruptible: false) }
        }
        try commands.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far])
        try commands.run(["ip", "link", "set", far, "netns", space.path])
        try commands.run(["ip", "addr", "add", "198.18.\(number).1/24", "dev", near])
        try commands.run(["ip", "link", "set", near, "up"])
        try space.inside {
            for address in [farAddress, otherAddress] {
                try commands.run(["ip", "addr", "add", address + "/24", "dev", far])
            }
            try commands.run(["ip", "link", "set", far, "up"])
        }
    }

    /// Runs something on the far side; what it starts is there, too.
    @discardableResult
    func onFarSide<T>(_ body: () throws -> T) throws -> T { try space.inside(body) }

    /// Sets the width in both directions; nil takes the limit away.
    func shape(megabits: Double?) throws {
        let set = { [commands] (device: String) throws in
            if (try? commands.run(["tc", "qdisc", "show", "dev", device]))?.contains("tbf") == true {
                try commands.run(["tc", "qdisc", "del", "dev", device, "root"])
            }
            guard let megabits else { return }
            try commands.run([
                "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", "\(Int(megabits * 1000))kbit",
                "burst", "256kb", "latency", "100ms",
            ])
        }
        try set(near)
        try space.inside { try set(far) }
    }

    /// The port of a far address at which the service of `port` there answers with so much added to a round
    /// trip.
    func lengthen(port: UInt16, milliseconds: Double, at address: String) throws -> UInt16 {
        let key = "\(port) \(milliseconds) \(address)"
        if let front = fronts[key] { return front }
        let front = UInt16(20000 + fronts.count)
        let log = "\(directory)/delay-\(front).log"
        let arguments = [
            "/proc/self/exe", "delay", "--listen", "\(address):\(front)", "--to", "127.0.0.1:\(port)",
            "--round-trip", "\(milliseconds)",
        ]
        let process = try space.inside { try ChildProcess(arguments, outputPath: log) }
        cleanup.add("hellobench delay") { process.stop(graceSeconds: 1) }
        try commands.wait(for: "hellobench delay", seconds: 10) {
            if let status = process.poll() {
                throw BenchError.commandFailed(
                    command: "hellobench delay", status: status, output: Files.text(log) ?? "")
            }
            return (Files.text(log) ?? "").contains("ready")
        }
        fronts[key] = front
        return front
    }

    struct Counters {
        let receivedBytes: UInt64
        let sentBytes: UInt64
    }

    /// What has come from and gone to the far side so far, with the heads of all packets.
    func counters() -> Counters {
        Counters(receivedBytes: Self.counter(near, "rx_bytes"), sentBytes: Self.counter(near, "tx_bytes"))
    }

    private static func counter(_ device: String, _ name: String) -> UInt64 {
        let text = Files.text("/sys/class/net/\(device)/statistics/\(name)") ?? ""
        return text.split(separator: "\n").first.flatMap { UInt64($0) } ?? 0
    }

    private static func exists(_ device: String) -> Bool { access("/sys/class/net/\(device)", F_OK) == 0 }

    private static func freeNumber() throws(BenchError) -> Int {
        let first = Int(getpid()) % 250
        for step in 0..<250 {
            let number = (first + step) % 250
            if !exists("hb\(number)near") { return number }
        }
        throw .answer("no free link number; remove interfaces named hb…near with: ip link del NAME")
    }
}
