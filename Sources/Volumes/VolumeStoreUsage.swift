// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

extension VolumeStore {
    /// What the store takes and what sharing saves.
    ///
    /// Walks every block map: for people, not for loops.
    public func usage() -> StoreUsage {
        let (entries, volumes, snapshots) = registry.state.withLock { state in
            (Array(state.images.values), state.volumes.values.map(\.volume), Array(state.snapshots.values))
        }
        let users = Self.users(of: entries)
        let images = entries.map { Self.image($0, users) }.sorted { $0.name < $1.name }
        let deltas = volumes.map(Self.volume).sorted { $0.name < $1.name }
        let frozen = snapshots.reduce(UInt64(0)) { sum, snapshot in
            guard case .layered(let delta, _) = snapshot.currentContent else { return sum }
            return sum + delta.allocatedBytes
        }
        let statistics = chunks.statistics()
        return StoreUsage(
            images: images, volumes: deltas, chunkCount: UInt64(statistics.chunks),
            chunkBytes: statistics.plainBytes, chunkAllocatedBytes: statistics.allocatedBytes,
            referencedBytes: images.reduce(0) { $0 + $1.dataBytes },
            deltaAllocatedBytes: frozen + deltas.reduce(0) { $0 + $1.allocatedBytes })
    }

    /// How many images have each chunk.
    private static func users(of entries: [Registry.ImageEntry]) -> [Digest: Int] {
        var users: [Digest: Int] = [:]
        for entry in entries {
            guard let map = entry.snapshot.map else { continue }
            for chunk in map.chunks { users[chunk.digest, default: 0] += 1 }
        }
        return users
    }

    private static func image(_ entry: Registry.ImageEntry, _ users: [Digest: Int]) -> StoreUsage.Image {
        var unique: UInt64 = 0
        var total: UInt64 = 0
        if let map = entry.snapshot.map {
            for extent in map.extents {
                let bytes = UInt64(extent.count) * UInt64(Block.bytes)
                total += bytes
                if users[map.chunks[Int(extent.chunk)].digest] == 1 { unique += bytes }
            }
        }
        return StoreUsage.Image(
            name: entry.name, logicalBytes: entry.snapshot.sizeBytes, dataBytes: total,
            localBytes: entry.snapshot.residentMap?.presentBytes ?? 0, uniqueBytes: unique,
            sharedBytes: total - unique)
    }

    private static func volume(_ volume: Volume) -> StoreUsage.Volume {
        let delta = volume.gate.reading { volume.layers.delta }
        return StoreUsage.Volume(
            name: volume.name, logicalBytes: volume.sizeBytes,
            dirtyBytes: UInt64(delta.states.ownedCount) * UInt64(Block.bytes),
            allocatedBytes: delta.allocatedBytes)
    }
}
