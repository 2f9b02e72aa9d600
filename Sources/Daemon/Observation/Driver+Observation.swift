// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import ChunkStore
import Volumes

extension Driver {
    /// Requests of block files that wait for blocks.
    var waitingRequests: UInt64 { UInt64(blocks?.waitingRequests ?? 0) }

    func activity() -> ActivityInfo {
        let activity = blocks?.activity
        let reads = activity?.reads.map(\.durations.count) ?? [0, 0, 0]
        return ActivityInfo(
            reads: reads.reduce(0, +), cacheReads: reads[ReadOrigin.cache.rawValue],
            bootPackReads: reads[ReadOrigin.bootPack.rawValue],
            demandReads: reads[ReadOrigin.demandFetch.rawValue], readBytes: activity?.readBytes ?? 0,
            writes: activity?.writes.count ?? 0, writtenBytes: activity?.writtenBytes ?? 0,
            errors: activity?.errors ?? 0,
            fetchedBytes: network.engine.status().classes.reduce(0) { $0 + $1.fetchedBytes },
            files: blocks?.files().map {
                .init(
                    name: $0.name, isVolume: $0.isVolume, readBytes: $0.readBytes,
                    writtenBytes: $0.writtenBytes, waitingReads: $0.waitingReads,
                    waitingSeconds: $0.waitingSeconds)
            } ?? [])
    }

    /// Notes what no call tells of: sources that come and go, reads that fail, a cache that is full.
    func watchSources() {
        let status = network.engine.status()
        let down = Set(status.sources.filter(\.isDown).map(\.name))
        let isStuck = store.chunks.cacheStatus().isStuck
        let news = watched.withLock { watched in
            defer { watched = Watched(down: down, failedWants: status.failedWants, isStuck: isStuck) }
            return (
                lost: down.subtracting(watched.down), back: watched.down.subtracting(down),
                failed: status.failedWants - min(watched.failedWants, status.failedWants),
                isStuck: isStuck && !watched.isStuck
            )
        }
        for name in news.lost.sorted() {
            let reason = status.sources.first { $0.name == name }?.lastError ?? ""
            events.note("source.down", name, ["reason": reason])
        }
        for name in news.back.sorted() { events.note("source.up", name) }
        if news.failed > 0 { events.note("reads.failed", "", ["count": "\(news.failed)"]) }
        if news.isStuck { events.note("cache.full", places.root) }
    }

    /// What was seen last.
    struct Watched {
        var down: Set<String> = []
        var failedWants: UInt64 = 0
        var isStuck = false
    }
}
