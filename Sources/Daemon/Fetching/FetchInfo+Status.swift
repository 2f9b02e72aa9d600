// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore

extension FetchInfo {
    /// The engine's own account, in the words of the API.
    init(_ status: FetchStatus) {
        classes = status.classes.map {
            Class(
                name: $0.class.name, requests: $0.requests, queuedChunks: $0.queuedChunks,
                inFlightBytes: $0.inFlightBytes, fetchedBytes: $0.fetchedBytes, waiting: $0.waiting)
        }
        sources = status.sources.map {
            Source(
                name: $0.name, isDown: $0.isDown, latencyMs: $0.latencySeconds.map { $0 * 1000 },
                bytesPerSecond: $0.bytesPerSecond, requests: $0.requests, fetchedBytes: $0.fetchedBytes,
                failures: $0.failures, damagedChunks: $0.damagedChunks, lastError: $0.lastError)
        }
        stalled = status.stalled.map {
            Stalled(
                chunk: "\($0.chunk)", pack: "\($0.pack)", waitingSeconds: $0.waitingSeconds,
                reasons: $0.attempts.map { "\($0.source): \($0.failure)" })
        }
        bufferedBytes = status.bufferedBytes
    }
}

extension FetchClass {
    /// In the words of the API.
    var name: String {
        switch self {
        case .demand: "demand"
        case .readAhead: "read-ahead"
        case .boot: "boot"
        case .background: "fill"
        }
    }
}

extension CacheInfo {
    init(_ status: CacheStatus) {
        self.init(
            cachedBytes: status.cachedBytes, maximumBytes: status.limits.maximumBytes,
            pinnedBytes: status.pinnedBytes, freeBytes: status.freeBytes,
            minimumFreeBytes: status.limits.minimumFreeBytes, evictedChunks: status.evictedChunks,
            evictedBytes: status.evictedBytes, isStuck: status.isStuck)
    }
}
