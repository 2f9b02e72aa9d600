// SPDX-License-Identifier: Apache-2.0

import Base
import GRDB
import Synchronization

extension VolumeStore {
    /// Makes an image of what the volume holds at this moment, without copying anything.
    ///
    /// Atomic and durable.
    ///
    /// The delta is frozen into the snapshot and the volume goes on with an empty one on top of it. Writers
    /// wait meanwhile; a file system mounted on the volume must be frozen by the caller for a clean copy.
    ///
    /// Errors: `.badName`, `.nameTaken`, `.notFound`, `.broken`, `.flushFailed`, `.system`, `.catalog`.
    public func snapshot(volume name: String, as image: String) throws(VolumeError) -> ImageRecord {
        try snapshot(volume: name, as: image) { _ in }
    }

    /// - Parameter also: what changes in the same transaction.
    func snapshot(
        volume name: String, as image: String, also: (Database) throws -> Void
    ) throws(VolumeError) -> ImageRecord {
        let snapshot = try registry.reserving(image) { () throws(VolumeError) -> Snapshot in
            let volume = try begin(name)
            defer { registry.state.withLock { $0.volumes[name]?.snapshotsUnderWay -= 1 } }
            if let reason = volume.brokenReason { throw .broken(name, reason: reason) }
            // Most of the flushing happens while writers still run.
            try volume.isEphemeral ? volume.writeBack() : volume.synchronize()
            let snapshot = try volume.gate.writing { () throws(VolumeError) -> Snapshot in
                try freeze(volume, as: image, also)
            }
            registry.state.withLock { state in
                state.snapshots[snapshot.id] = snapshot
                state.images[image] = Registry.ImageEntry(
                    name: image, created: Registry.now(), snapshot: snapshot)
            }
            return snapshot
        }
        // Written so far is only the catalog's log. A power cut before this flush leaves the volume as it
        // was, with the old delta whole; the new delta's first flush comes with one of the catalog as well.
        try registry.catalog.flush()
        sealer.schedule([snapshot])
        return try self.image(named: image)
    }

    private func begin(_ name: String) throws(VolumeError) -> Volume {
        try registry.state.withLock { (state) throws(VolumeError) -> Volume in
            let entry = try Registry.volume(name, state)
            state.volumes[name]?.snapshotsUnderWay += 1
            return entry.volume
        }
    }

    /// The O(1) part; the caller holds the volume's gate, so nothing reads or writes it.
    private func freeze(
        _ volume: Volume, as image: String, _ also: (Database) throws -> Void
    ) throws(VolumeError) -> Snapshot {
        let delta = volume.layers.delta
        let parent = volume.layers.parent
        if delta.isUntouched {
            if let parent { return try name(parent, image, also) }
            // A frozen delta always has files; those of a volume of zeros are made for that.
            try delta.touch()
        }
        // What came in since the flush before; usually nothing.
        try delta.synchronize(volume.name, registry.catalog)
        let snapshot = Snapshot(
            id: Catalog.newID(), blockCount: delta.blockCount, configuration: parent?.configuration ?? [],
            source: "volume:" + volume.name, created: Registry.now(), chunks: chunks,
            sources: parent?.sources ?? [], content: .layered(delta, below: parent))
        let next = Delta(
            id: Catalog.newID(), directory: registry.deltas, bootID: registry.bootID,
            blockCount: delta.blockCount, isEphemeral: delta.isEphemeral)
        try registry.catalog.transaction { db in
            try Catalog.insert(
                SnapshotRow(
                    id: snapshot.id, parent: parent?.id, delta: delta.id, map: nil, origin: nil,
                    blocks: snapshot.blockCount, configuration: snapshot.configuration,
                    source: snapshot.source, created: snapshot.created), db)
            try Catalog.setSources(snapshot.sources, of: snapshot.id, db)
            try Catalog.insert(ImageRow(name: image, snapshot: snapshot.id, created: snapshot.created), db)
            try Catalog.move(
                volume: volume.name, to: snapshot.id, delta: next.id, blocks: next.blockCount, db)
            try also(db)
        }
        delta.freeze()
        volume.layers.recorder?.leaveOut(delta)
        volume.layers = Volume.Layers(delta: next, parent: snapshot, recorder: volume.layers.recorder)
        volume.parentForCollection.withLock { $0 = snapshot }
        return snapshot
    }

    /// Another name for a snapshot that there is already: an untouched clone holds exactly that.
    private func name(
        _ snapshot: Snapshot, _ image: String, _ also: (Database) throws -> Void
    ) throws(VolumeError) -> Snapshot {
        try registry.catalog.transaction { db in
            try Catalog.insert(ImageRow(name: image, snapshot: snapshot.id, created: Registry.now()), db)
            try also(db)
        }
        return snapshot
    }

    /// Waits until the image's content lies in the chunk store whole.
    ///
    /// Errors: what the attempt to seal it failed with; it is tried again later all the same.
    public func waitUntilSealed(_ image: String) throws(VolumeError) {
        try sealer.wait(for: try blockFile(image: image))
    }
}
