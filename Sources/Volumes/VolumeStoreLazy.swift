// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
public import ChunkStore

extension VolumeStore {
    /// The image's content as a block map with references on its chunks, some of which may be absent.
    ///
    /// Waits until the image is sealed. Errors: `.notFound`, `.broken`, and what sealing failed with.
    public func residentMap(ofImage name: String) throws(VolumeError) -> ResidentMap {
        try sealed(name).map
    }

    /// Where the image's chunks lie, and the URIs of those who have the packs.
    ///
    /// Waits until the image is sealed. The table is the one that was set last; of an image that never had
    /// one it is what the store knows of its chunks.
    /// Errors: `.notFound`, `.broken`, and what sealing failed with.
    public func places(ofImage name: String) throws(VolumeError) -> (table: PlaceTable, sources: [String]) {
        let (snapshot, resident, digest) = try sealed(name)
        let map = resident.map
        if let table = try? registry.maps.readPlaces(digest, of: map) { return (table, snapshot.sources) }
        return (chunks.places(for: map), snapshot.sources)
    }

    /// Takes note of where the image's chunks lie by now, after a push.
    ///
    /// Replaces the table; the sources go in front of those that are known. Durable when it returns.
    /// Errors: `.notFound`, `.broken`, `.chunks` for a table of another map, `.system`, `.catalog`.
    public func setPlaces(
        of name: String, _ table: PlaceTable, sources: [String]
    ) throws(VolumeError) {
        let (_, map, digest) = try sealed(name)
        let ids: [SourceID]
        do throws(ChunkStoreError) {
            // As a fresh map goes away it takes its references along; the places stay noted.
            ids = try chunks.sources.intern(Registry.union(sources, []))
            _ = try chunks.attach(map.map, places: table, sources: ids)
        } catch {
            throw .chunks(error)
        }
        try registry.state.withLock { (state) throws(VolumeError) in
            let all = registry.sharing(digest, nil, state, adding: sources)
            try registry.catalog.transaction { db in
                for (snapshot, uris) in all { try Catalog.setSources(uris, of: snapshot.id, db) }
            }
            for (snapshot, uris) in all { snapshot.setSources(uris) }
        }
        // Sources first: the old table with more sources is good, the new one without them is not.
        try registry.catalog.flush()
        try registry.keepingFiles(digest) { () throws(VolumeError) in
            try registry.maps.write(table, digest)
        }
        map.releasePins(coveredBy: table, sources: ids)
    }

    // MARK: Boot profiles

    /// What containers of the image read first; nil when nobody has recorded it.
    ///
    /// One that cannot be read is as good as none. Errors: as `residentMap`.
    public func profile(ofImage name: String) throws(VolumeError) -> BootProfile? {
        let digest = try sealed(name).digest
        do { return try registry.maps.readProfile(digest) } catch {
            Log.warning("volumes", "a boot profile is left out", ["image": name, "reason": "\(error)"])
            return nil
        }
    }

    /// Keeps the profile for every image with this content, until the last of them goes.
    ///
    /// Errors: as `residentMap`, and `.system`.
    public func setProfile(_ profile: BootProfile, ofImage name: String) throws(VolumeError) {
        let digest = try sealed(name).digest
        try registry.keepingFiles(digest) { () throws(VolumeError) in
            try registry.maps.write(profile, digest)
        }
    }

    /// Begins to take down which blocks of its image the volume reads first.
    ///
    /// A volume has one recorder at most: an earlier one is stopped. A snapshot of the volume does not end
    /// it. Errors: `.notFound`, `.broken`.
    public func record(volume name: String) throws(VolumeError) -> TouchRecorder {
        let volume = try blockFile(volume: name)
        return volume.gate.writing {
            volume.layers.recorder?.stop()
            let recorder = TouchRecorder(image: volume.layers.parent, sealer: sealer)
            recorder.leaveOut(volume.layers.delta)
            volume.layers.recorder = recorder
            return recorder
        }
    }

    private func sealed(
        _ name: String
    ) throws(VolumeError) -> (snapshot: Snapshot, map: ResidentMap, digest: Digest) {
        let snapshot = try blockFile(image: name)
        try sealer.wait(for: snapshot)
        guard case .sealed(let map, let digest, _) = snapshot.currentContent else {
            throw .broken(name, reason: snapshot.brokenReason ?? "it is not sealed")
        }
        return (snapshot, map, digest)
    }
}
