// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Synchronization

/// What a collection has freed.
public struct CollectReport: Sendable, Equatable {
    public let snapshots: Int
    public let chunks: Int
    public let bytes: UInt64
}

extension VolumeStore {
    /// Frees what nothing refers to: snapshots, and chunks.
    ///
    /// Removals do that by themselves in the background; this waits for it. Runs beside everything else: what is
    /// being imported, pulled, cloned or pushed holds what it needs.
    /// Errors: `.broken` while something is damaged whose needs are unknown; `.catalog`, `.system`.
    public func collect() throws(VolumeError) -> CollectReport {
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            try registry.takeGarbage(&state, &garbage)
        }
        try registry.dispose(garbage)
        let count = garbage.snapshots.count
        // Their maps give their references back as they go.
        garbage = Registry.Garbage()
        let freed = try registry.collect()
        chunks.finishReclaiming()
        return CollectReport(snapshots: count, chunks: freed.chunks, bytes: freed.bytes)
    }
}

extension Registry {
    /// Frees chunks that nothing refers to.
    ///
    /// Errors: `.broken` while something is damaged: of its chunks nobody knows.
    func collect() throws(VolumeError) -> (chunks: Int, bytes: UInt64) {
        if keepsUnreferenced.load(ordering: .acquiring) {
            if let damaged = try firstDamaged() {
                throw .broken(
                    damaged, reason: "what it needs is unknown, so nothing is collected while it is there")
            }
            keepsUnreferenced.store(false, ordering: .releasing)
        }
        return chunks.collectUnreferenced()
    }

    private func firstDamaged() throws(VolumeError) -> String? {
        let broken = state.withLock { state in
            let image = state.images.values.first { $0.snapshot.brokenReason != nil }?.name
            let volume = state.volumes.values.first { entry in
                entry.volume.parentForCollection.withLock { $0 }?.brokenReason != nil
            }?.volume.name
            return image ?? volume
        }
        if let broken { return broken }
        return try catalog.load().unreadableRows > 0 ? catalog.path : nil
    }
}
