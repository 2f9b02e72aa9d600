// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the daemon, its mounts and its containers.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let status = try global.connect().call("GET", "status", as: StatusInfo.self)
        if json { return try Output.json(status) }
        Output.fields([
            ("version", status.version), ("process", "\(status.process)"), ("root", status.root),
            ("run", status.run),
            ("up", "\(Int(status.uptimeSeconds)) s"), ("memory", Size.text(status.residentBytes)),
            ("images", "\(status.images)"), ("volumes", "\(status.volumes)"),
            ("operations", "\(status.operations.count) running"),
        ])
        show(status.cache)
        Output.fields([
            ("scrub", status.scrub.state == .waiting ? nil : status.scrub.state.rawValue),
            (
                "damaged",
                status.scrub.damaged.isEmpty
                    ? nil : "\(status.scrub.damaged.count) chunks; see 'slacker scrub'"
            ),
        ])
        if !status.mounts.isEmpty {
            Output.print("")
            Output.table(
                ["MOUNTED", "KIND", "MODE", "DEVICE", "DIRECTORY"],
                status.mounts.map { [$0.name, $0.kind, $0.readOnly ? "ro" : "rw", $0.device, $0.directory] })
        }
        if !status.containers.isEmpty {
            Output.print("")
            Output.table(
                ["CONTAINER", "IMAGE", "VOLUME"],
                status.containers.map { [$0.id, $0.image, $0.volume ?? "-"] })
        }
        show(status.fetching)
        if !status.fills.isEmpty {
            Output.print("")
            Output.table(
                ["FILL", "STATE", "LOCAL"],
                status.fills.map {
                    [$0.image, $0.state.rawValue, Share.text($0.localBytes, of: $0.dataBytes)]
                })
        }
    }

    private func show(_ cache: CacheInfo) {
        let limit = cache.maximumBytes.map { " of \(Size.text($0))" } ?? ""
        let free = cache.freeBytes.map { "\(Size.text($0)), at least \(Size.text(cache.minimumFreeBytes))" }
        Output.fields([
            ("cache", "\(Size.text(cache.cachedBytes))\(limit), \(Size.text(cache.pinnedBytes)) besides"),
            ("evicted", cache.evictedBytes > 0 ? Size.text(cache.evictedBytes) : nil),
            ("disk free", free),
            ("cache full", cache.isStuck ? "a limit is exceeded, and nothing is left that could go" : nil),
        ])
    }

    private func show(_ fetching: FetchInfo) {
        if fetching.classes.contains(where: { $0.fetchedBytes > 0 || $0.requests > 0 || $0.waiting > 0 }) {
            Output.print("")
            Output.table(
                ["FETCHING", "REQUESTS", "QUEUED", "WAITING", "FETCHED"],
                fetching.classes.map {
                    [
                        $0.name, "\($0.requests)", "\($0.queuedChunks)", "\($0.waiting)",
                        Size.text($0.fetchedBytes),
                    ]
                })
        }
        if !fetching.sources.isEmpty {
            Output.print("")
            Output.table(
                ["SOURCE", "STATE", "LATENCY", "SPEED", "FETCHED", "FAILURES", "LAST ERROR"],
                fetching.sources.map(Self.row))
        }
        if !fetching.stalled.isEmpty {
            Output.print("")
            Output.table(
                ["STALLED CHUNK", "FOR", "BECAUSE"],
                fetching.stalled.map {
                    [
                        ImagesCommand.short($0.chunk), Seconds.text($0.waitingSeconds),
                        Printable.text($0.reasons.joined(separator: "; ")),
                    ]
                })
        }
    }

    private static func row(_ source: FetchInfo.Source) -> [String] {
        [
            source.name, source.isDown ? "down" : "up",
            source.latencyMs.map { Seconds.text($0 / 1000) } ?? "-",
            source.bytesPerSecond.map { Size.text(UInt64($0)) + "/s" } ?? "-",
            Size.text(source.fetchedBytes), "\(source.failures)",
            source.lastError.map(Printable.text) ?? "-",
        ]
    }
}
