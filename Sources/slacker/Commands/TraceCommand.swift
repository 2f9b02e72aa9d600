// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Print the reads of a volume or image as they happen, until Ctrl-C.",
        discussion: """
            Each line: seconds since the start, offset and length, how long the read took, where the bytes came from \
            (cache, boot_pack, demand_fetch), and the file. Reads that the kernel answers from its page cache are not \
            seen. Files are those of the image; what a volume has made since has none.

            Example: slacker trace --seconds 10 web
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "End after so many seconds.")
    var seconds: Double?

    @Flag(help: "Print JSON, one object for each line.")
    var json = false

    @Argument(help: "The volume, the container that runs on it, or the image.")
    var name: String

    private static let waitMs = 500

    func validate() throws {
        if let seconds, !(0...86_400).contains(seconds) {
            throw ValidationError("--seconds \(seconds): not between 0 and 86400")
        }
    }

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        let trace = try Patience.during("reading the names of files") {
            try client.call("POST", "traces", TraceRequest(name: name), as: TraceInfo.self)
        }
        defer { _ = try? client.call("DELETE", "traces/\(trace.id)", as: Done.self) }
        let end = seconds.map { MonotonicTime.now.advanced(bySeconds: $0) }
        while true {
            let wait = min(Self.waitMs, end.map { Int($0.seconds(since: .now) * 1000) } ?? Self.waitMs)
            let found = try client.call(
                "GET", "traces/\(trace.id)?wait_ms=\(max(0, wait))", as: TraceInfo.self)
            try show(found)
            if let signal = interrupt.received() { throw ExitStatus(code: 128 + signal) }
            if let end, MonotonicTime.now >= end { return }
        }
    }

    private func show(_ trace: TraceInfo) throws {
        var lines: [String] = []
        for read in trace.reads {
            if json {
                lines.append(String(decoding: try JSON.encode(read), as: UTF8.self))
            } else {
                let files = read.files.isEmpty ? "-" : read.files.map(Printable.text).joined(separator: " ")
                lines.append(
                    "\(Self.padded(Seconds.precise(read.seconds), 9)) \(Self.padded("\(read.offset)", 13)) "
                        + "\(Self.padded(Size.text(UInt64(read.bytes)), 8)) "
                        + "\(Self.padded(Seconds.fine(read.durationMs / 1000), 8))  \(read.source)  \(files)")
            }
        }
        Output.lines(lines)
        if trace.dropped > 0 { Output.error("\(trace.dropped) reads came too fast to be shown") }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
