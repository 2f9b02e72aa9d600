// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what is lazy, what is local, what is fetched and for whom.",
        discussion: """
            What there is nothing of is left out. A source that is down, or whose latency is high, is what containers \
            wait for.

            Example: slacker status
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let client = try global.connect()
        let status = try client.call("GET", "status", as: StatusInfo.self)
        if json { return try Output.json(status) }
        let activity = try client.call("GET", "activity", as: ActivityInfo.self)
        Output.fields([
            (
                "slacker",
                "\(status.version), process \(status.process), up \(Seconds.long(status.uptimeSeconds)), "
                    + "\(Size.text(status.residentBytes)) of memory"
            ),
            ("root", status.root), ("run", status.run),
            (
                "images",
                "\(status.images), \(status.lazyImages.count) of them lazy; \(status.volumes) volumes, "
                    + "\(status.containers.count) containers"
            ),
            ("reads", Self.reads(activity)),
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
        show(lazy: status.lazyImages)
        show(operations: status.operations)
        show(waiting: activity.files.filter { $0.waitingReads > 0 })
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

    private static func reads(_ activity: ActivityInfo) -> String {
        if activity.reads == 0 { return "none yet" }
        let waited = activity.bootPackReads + activity.demandReads
        return "\(activity.reads) that missed the kernel's cache, \(Size.text(activity.readBytes)); "
            + "\(Share.text(activity.cacheReads, of: activity.reads)) from here at once, \(waited) waited"
            + (activity.errors > 0 ? ", \(activity.errors) errors" : "")
    }

    private func show(lazy images: [ImageInfo]) {
        if images.isEmpty { return }
        Output.print("")
        Output.table(
            ["LAZY IMAGE", "LOCAL", "HERE", "DATA"],
            images.map {
                let (here, data) = ($0.localBytes ?? 0, $0.dataBytes ?? 0)
                return [$0.name, Share.text(here, of: data), Size.text(here), Size.text(data)]
            })
    }

    private func show(operations: [OperationInfo]) {
        if operations.isEmpty { return }
        Output.print("")
        Output.table(
            ["OPERATION", "PHASE", "DONE"],
            operations.map {
                [$0.id, $0.phase, $0.totalBytes > 0 ? Share.text($0.doneBytes, of: $0.totalBytes) : "-"]
            })
    }

    private func show(waiting files: [ActivityInfo.File]) {
        if files.isEmpty { return }
        Output.print("")
        Output.table(
            ["WAITS FOR BLOCKS", "READS", "FOR"],
            files.map { [$0.name, "\($0.waitingReads)", Seconds.text($0.waitingSeconds)] })
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
