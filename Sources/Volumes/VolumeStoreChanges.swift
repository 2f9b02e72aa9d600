// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import GRDB
import Synchronization

extension VolumeStore {
    /// Makes a writable clone of an image.
    ///
    /// Takes one row in the catalog and no file, whatever the size; durable with the first `synchronize` of
    /// the volume.
    ///
    /// Errors: `.badName`, `.nameTaken`, `.notFound`, `.broken`, `.catalog`.
    /// - Parameter ephemeral: nobody wants it back after this process has ended, so nothing of it is flushed
    ///   and the next start removes it. Its snapshots are as durable as any.
    /// - Parameter id: its number, from `freshID`; one is made up when there is none.
    public func clone(
        image: String, as name: String, ephemeral: Bool = false, id: UInt64? = nil
    ) throws(VolumeError) -> Volume {
        try Names.checkVolume(name)
        let volume = try registry.state.withLock { (state) throws(VolumeError) -> Volume in
            let snapshot = try Registry.image(image, state).snapshot
            if let reason = snapshot.brokenReason { throw .broken(image, reason: reason) }
            return try make(
                name, id, parent: snapshot, parentImage: image, snapshot.blockCount, ephemeral: ephemeral,
                &state)
        }
        sealer.poke()
        return volume
    }

    /// Makes a volume of zeros.
    ///
    /// Errors: `.badName`, `.nameTaken`, `.invalidRange`, `.catalog`.
    public func createVolume(
        named name: String, sizeBytes: UInt64, id: UInt64? = nil
    ) throws(VolumeError) -> Volume {
        try Names.checkVolume(name)
        let blocks = try Volume.blockCount(name, sizeBytes: sizeBytes)
        return try registry.state.withLock { (state) throws(VolumeError) -> Volume in
            try make(name, id, parent: nil, parentImage: "", blocks, ephemeral: false, &state)
        }
    }

    /// A number for a volume to be made, that nothing has and nothing had.
    public static func freshID() -> UInt64 { Catalog.newID() }

    /// - Parameters:
    ///   - id: its number; nil for any.
    ///   - also: what changes in the same transaction.
    func make(
        _ name: String, _ id: UInt64?, parent: Snapshot?, parentImage: String, _ blocks: UInt32,
        ephemeral: Bool, _ state: inout Registry.State, also: (Database) throws -> Void = { _ in }
    ) throws(VolumeError) -> Volume {
        try Registry.checkFree(name, state)
        let row = VolumeRow(
            name: name, id: id ?? Catalog.newID(), snapshot: parent?.id, delta: Catalog.newID(),
            blocks: blocks,
            hasFiles: false, parentImage: parentImage, created: Registry.now(), isEphemeral: ephemeral)
        try registry.catalog.transaction { db in
            try Catalog.insert(row, db)
            try also(db)
        }
        let delta = Delta(
            id: row.delta, directory: registry.deltas, bootID: registry.bootID, blockCount: blocks,
            isEphemeral: ephemeral)
        let volume = Volume(row, registry, delta: delta, parent: parent)
        state.volumes[name] = Registry.VolumeEntry(volume: volume)
        return volume
    }

    /// Says who holds a volume, so that it is not removed meanwhile; nil when nobody does any more.
    public func setInUse(_ name: String, _ reason: String?) throws(VolumeError) {
        try registry.state.withLock { (state) throws(VolumeError) in
            _ = try Registry.volume(name, state)
            state.volumes[name]?.inUse = reason
        }
    }

    /// Removes an image or a volume.
    ///
    /// What other images, or volumes cloned from it, still need stays until the last of them goes. Durable
    /// when it returns; an ephemeral volume's files go soon after it.
    ///
    /// Errors: `.notFound`, `.inUse`, `.catalog`, `.system`.
    public func remove(_ name: String) throws(VolumeError) {
        let isKept = try takeOut(name)
        // Only now has the last reference on the chunks gone.
        if !isKept { sealer.collect() }
    }

    /// True when the sealer's thread has the garbage, and collects.
    private func takeOut(_ name: String) throws(VolumeError) -> Bool {
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            if state.images[name] != nil {
                try registry.catalog.transaction { db in try Catalog.delete(image: name, db) }
                state.images[name] = nil
            } else {
                try removeVolume(name, &state, &garbage)
            }
            try registry.takeGarbage(&state, &garbage)
        }
        if garbage.volumes.contains(where: \.isEphemeral) {
            sealer.dispose(garbage)
            return true
        }
        try registry.catalog.flush()
        try registry.dispose(garbage)
        return false
    }

    private func removeVolume(
        _ name: String, _ state: inout Registry.State, _ garbage: inout Registry.Garbage
    ) throws(VolumeError) {
        guard let entry = state.volumes[name] else {
            let names = Array(state.images.keys) + Array(state.volumes.keys)
            throw .notFound(nil, name, nearest: Names.nearest(to: name, among: names))
        }
        if let reason = entry.inUse { throw .inUse(name, reason: reason) }
        if entry.snapshotsUnderWay > 0 { throw .inUse(name, reason: "a snapshot of it is being taken") }
        try registry.catalog.transaction { db in try Catalog.delete(volume: name, db) }
        state.volumes[name] = nil
        garbage.volumes.append(entry.volume)
    }
}
