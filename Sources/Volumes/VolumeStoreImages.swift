// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks
public import ChunkStore

extension VolumeStore {
    /// Adds an image whose chunks `session` has ingested: commits the session, stores the map, and returns
    /// when all of it is durable.
    ///
    /// The session is released.
    ///
    /// Errors: `.badName`, `.nameTaken`, `.chunks`, `.system`, `.catalog`; nothing is left behind then.
    public func addImage(
        name: String, map: BlockMap, configuration: [UInt8], source: String, session: IngestSession
    ) throws(VolumeError) -> ImageRecord {
        try addImage(
            name: name, map: EncodedBlockMap(map), places: nil, sources: [], configuration: configuration,
            source: source, session: session)
    }

    /// Adds an image of which any chunk may be absent, and returns when it is durable.
    ///
    /// - Parameters:
    ///   - resident: the map as it was attached with this table and these sources, by a caller who has.
    ///   - places: where the map's chunks lie in packs; it may leave out only chunks that are here.
    ///   - sources: URIs of those who have the packs, the one to ask first in front; more than 16 are left
    ///     out.
    ///   - source: what to show as its origin.
    ///   - session: committed first and released, if chunks were ingested.
    ///   - replacing: an image that has the name gives it to this one, in one step. Its snapshot lives on
    ///     for as long as volumes and open files use it.
    ///
    /// Errors: `.badName`, `.nameTaken`, `.chunks`, `.system`, `.catalog`; nothing is left behind then.
    public func addImage(
        name: String, map: EncodedBlockMap, resident: ResidentMap? = nil, places: PlaceTable?,
        sources: [String], configuration: [UInt8], source: String, session: IngestSession?,
        replacing: Bool = false
    ) throws(VolumeError) -> ImageRecord {
        defer { session?.release() }
        let blockCount = map.map.blockCount
        if blockCount == 0 { throw .invalidRange(name, reason: "an image without any block") }
        return try registry.reserving(name, replacing: replacing) { () throws(VolumeError) -> ImageRecord in
            let resident = try attach(map, resident, places, sources, session)
            let snapshot = Snapshot(
                id: Catalog.newID(), blockCount: blockCount, configuration: configuration, source: source,
                created: Registry.now(), chunks: chunks, sources: Registry.union(sources, []),
                content: .sealed(resident, map.digest, origin: nil))
            let record = try registry.keepingMap(map) { () throws(VolumeError) -> ImageRecord in
                if let places { try registry.maps.write(places, map.digest) }
                return try register(name, snapshot, map.digest)
            }
            if let places { try releasePins(of: resident, places, snapshot) }
            sealer.collect()
            return record
        }
    }

    /// What can be fetched again need not stay here, now that both table and sources are durable.
    private func releasePins(
        of resident: ResidentMap, _ places: PlaceTable, _ snapshot: Snapshot
    ) throws(VolumeError) {
        do throws(ChunkStoreError) {
            let ids = try chunks.sources.intern(snapshot.sources)
            resident.releasePins(coveredBy: places, sources: ids)
        } catch {
            throw .chunks(error)
        }
    }

    private func attach(
        _ map: EncodedBlockMap, _ resident: ResidentMap?, _ places: PlaceTable?, _ sources: [String],
        _ session: IngestSession?
    ) throws(VolumeError) -> ResidentMap {
        do throws(ChunkStoreError) {
            try session?.commit()
            let shared = registry.shared(map.digest)
            if let shared, places == nil { return shared }
            let ids = try chunks.sources.intern(Registry.union(sources, []))
            let fresh: ResidentMap
            if let resident {
                fresh = resident
            } else {
                fresh = try chunks.attach(map.map, places: places, sources: ids)
            }
            // Only the fresh one knows the boot pack of this table.
            guard let shared, shared.isComplete || places?.bootPack == nil else { return fresh }
            return shared
        } catch {
            throw .chunks(error)
        }
    }

    /// Enters the image into the catalog and the registry, in place of the one that has the name.
    private func register(
        _ name: String, _ snapshot: Snapshot, _ digest: Digest
    ) throws(VolumeError) -> ImageRecord {
        let entry = Registry.ImageEntry(name: name, created: snapshot.created, snapshot: snapshot)
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            let others = registry.sharing(digest, snapshot, state)
            try registry.catalog.transaction { db in
                try Catalog.insert(
                    SnapshotRow(
                        id: snapshot.id, parent: nil, delta: nil, map: digest, origin: nil,
                        blocks: snapshot.blockCount, configuration: snapshot.configuration,
                        source: snapshot.source, created: snapshot.created), db)
                for (snapshot, uris) in others { try Catalog.setSources(uris, of: snapshot.id, db) }
                if state.images[name] != nil { try Catalog.delete(image: name, db) }
                try Catalog.insert(ImageRow(name: name, snapshot: snapshot.id, created: snapshot.created), db)
            }
            for (snapshot, uris) in others { snapshot.setSources(uris) }
            state.snapshots[snapshot.id] = snapshot
            let isReplaced = state.images.updateValue(entry, forKey: name) != nil
            if isReplaced { try registry.takeGarbage(&state, &garbage) }
        }
        try registry.catalog.flush()
        try registry.dispose(garbage)
        sealer.poke()
        return Self.record(entry)
    }
}

extension Registry {
    /// Sources that one snapshot has at most.
    private static let maximumSources = 16

    /// Each source once, those of `first` in front.
    static func union(_ first: [String], _ second: [String]) -> [String] {
        var seen: Set<String> = []
        return Array((first + second).filter { seen.insert($0).inserted }.prefix(maximumSources))
    }

    /// The snapshots with this map, the new one included, and the sources that all of them have together.
    ///
    /// They share one table of places, so what one of them knows has to be good for all of them.
    func sharing(
        _ digest: Digest, _ new: Snapshot?, _ state: State, adding sources: [String] = []
    ) -> [(Snapshot, [String])] {
        var snapshots = state.snapshots.values.filter { $0.digest == digest }
            .sorted { ($0.created, $0.id) > ($1.created, $1.id) }
        if let new { snapshots.insert(new, at: 0) }
        let all = snapshots.reduce(into: Self.union(sources, [])) { $0 = Self.union($0, $1.sources) }
        return snapshots.map { ($0, all) }
    }
}
