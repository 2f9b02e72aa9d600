// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show what is read, written and fetched, live.",
        discussion: """
            q or Ctrl-C ends it. Where standard output is no terminal, one page is printed for each interval, as \
            many as --count says.

            Example: slacker top --interval 2
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Seconds between two looks.")
    var interval: Double = 1

    @Option(help: "Pages after which it ends. (default: none on a terminal, 1 elsewhere)")
    var count: Int?

    func validate() throws {
        if !(0.1...3600).contains(interval) {
            throw ValidationError("--interval \(interval): not between 0.1 and 3600")
        }
        if let count, count < 1 { throw ValidationError("--count \(count): give at least 1") }
    }

    private struct Look {
        let activity: ActivityInfo
        let status: StatusInfo
        let time = MonotonicTime.now
    }

    func run() throws {
        let client = try global.connect()
        var before = try look(client)
        let interrupt = Interrupt()
        let screen = Screen.open()
        let limit = count ?? (screen == nil ? 1 : Int.max)
        var pages = 0
        while pages < limit {
            if let screen {
                let key = screen.key(waitMs: Int32(pages == 0 ? 200 : interval * 1000))
                if key == UInt8(ascii: "q") || key == 0 { return }
            } else {
                usleep(UInt32(interval * 1_000_000))
            }
            if interrupt.received() != nil { return }
            let now = try look(client)
            let page = TopPage(
                now.activity, now.status, before.activity,
                seconds: max(0.001, now.time.seconds(since: before.time)))
            let columns = screen == nil ? 80 : Screen.currentSize().columns
            let lines = page.lines(columns: columns)
            if let screen { screen.draw(lines) } else { Output.lines(lines) }
            before = now
            pages += 1
        }
    }

    private func look(_ client: ControlClient) throws -> Look {
        Look(
            activity: try client.call("GET", "activity", as: ActivityInfo.self),
            status: try client.call("GET", "status", as: StatusInfo.self))
    }
}

/// One page of figures, the most important first: a small window shows what fits.
struct TopPage {
    private let now: ActivityInfo
    private let status: StatusInfo
    private let before: ActivityInfo
    private let seconds: Double

    init(_ now: ActivityInfo, _ status: StatusInfo, _ before: ActivityInfo, seconds: Double) {
        (self.now, self.status, self.before, self.seconds) = (now, status, before, seconds)
    }

    func lines(columns: Int) -> [String] {
        var lines = summary
        lines.append("")
        lines += table(
            ["VOLUME OR IMAGE", "READ/S", "WRITTEN/S", "WAITING", "FOR"], files, columns: columns)
        let sources = status.fetching.sources.map(Self.row)
        if !sources.isEmpty {
            lines.append("")
            lines += table(["SOURCE", "STATE", "LATENCY", "SPEED", "FAILED"], sources, columns: columns)
        }
        let fills = status.fills.map {
            [$0.image, $0.state.rawValue, Share.text($0.localBytes, of: $0.dataBytes)]
        }
        if !fills.isEmpty {
            lines.append("")
            lines += table(["FILL", "STATE", "LOCAL"], fills, columns: columns)
        }
        return lines
    }

    private var summary: [String] {
        let reads = now.reads - min(before.reads, now.reads)
        let hits = now.cacheReads - min(before.cacheReads, now.cacheReads)
        let hitRate = reads == 0 ? "-" : Share.text(hits, of: reads)
        let queued = status.fetching.classes.reduce(0) { $0 + $1.queuedChunks }
        let requests = status.fetching.classes.reduce(0) { $0 + $1.requests }
        let waiting = now.files.reduce(0) { $0 + $1.waitingReads }
        return [
            "slacker \(status.version)  up \(Seconds.long(status.uptimeSeconds))  "
                + "memory \(Size.text(status.residentBytes))  containers \(status.containers.count)",
            "reads \(rate(now.reads, before.reads))/s \(bytes(now.readBytes, before.readBytes))/s  "
                + "hit rate \(hitRate)  waiting \(waiting)",
            "writes \(rate(now.writes, before.writes))/s \(bytes(now.writtenBytes, before.writtenBytes))/s",
            "fetch \(bytes(now.fetchedBytes, before.fetchedBytes))/s  queue \(queued) chunks, \(requests) requests",
            "cache \(Size.text(status.cache.cachedBytes))"
                + (status.cache.maximumBytes.map { " of \(Size.text($0))" } ?? "")
                + (status.cache.isStuck ? "  FULL" : ""),
        ]
    }

    private struct Flow {
        let file: ActivityInfo.File
        let read: UInt64
        let written: UInt64

        init(_ file: ActivityInfo.File, since old: ActivityInfo.File?) {
            self.file = file
            read = file.readBytes - min(old?.readBytes ?? 0, file.readBytes)
            written = file.writtenBytes - min(old?.writtenBytes ?? 0, file.writtenBytes)
        }

        /// Those that wait come first, then those that move most.
        func goesBefore(_ other: Flow) -> Bool {
            if file.waitingReads != other.file.waitingReads {
                return file.waitingReads > other.file.waitingReads
            }
            return read + written > other.read + other.written
        }
    }

    private var files: [[String]] {
        let old = Dictionary(before.files.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let flows = now.files.map { Flow($0, since: old[$0.name]) }
        return flows.sorted { $0.goesBefore($1) }.map { flow in
            let waits = flow.file.waitingReads > 0
            return [
                flow.file.name, Size.text(UInt64(Double(flow.read) / seconds)),
                Size.text(UInt64(Double(flow.written) / seconds)), "\(flow.file.waitingReads)",
                waits ? Seconds.text(flow.file.waitingSeconds) : "-",
            ]
        }
    }

    private static func row(_ source: FetchInfo.Source) -> [String] {
        [
            Printable.text(source.name), source.isDown ? "down" : "up",
            source.latencyMs.map { Seconds.text($0 / 1000) } ?? "-",
            source.bytesPerSecond.map { Size.text(UInt64($0)) + "/s" } ?? "-", "\(source.failures)",
        ]
    }

    private func rate(_ now: UInt64, _ before: UInt64) -> String {
        "\(Int((Double(now - min(before, now)) / seconds).rounded()))"
    }

    private func bytes(_ now: UInt64, _ before: UInt64) -> String {
        Size.text(UInt64(Double(now - min(before, now)) / seconds))
    }

    /// Figures keep their places; the first column gives way.
    private func table(_ headings: [String], _ rows: [[String]], columns: Int) -> [String] {
        let all = [headings] + rows
        var widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let others = widths.dropFirst().reduce(0) { $0 + $1 + 2 }
        widths[0] = max(8, min(widths[0], columns - others))
        return all.map { row in
            row.enumerated().map { column, cell in
                let cut = String(cell.prefix(widths[column]))
                let space = String(repeating: " ", count: widths[column] - cut.count)
                return column == 0 ? cut + space : space + cut
            }.joined(separator: "  ")
        }
    }
}
