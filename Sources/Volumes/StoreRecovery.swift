// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Logging
import Synchronization

/// Absent chunks whose table of places is damaged.
private struct LostPlaces: Error, CustomStringConvertible {
    let description: String
}

/// Brings a state directory back into memory, and clears away what an unclean end left in it.
struct StoreRecovery {
    private let registry: Registry
    private let inheritance: Inheritance
    private let log = Log.logger("volumes")
    private var rows: [UInt64: SnapshotRow] = [:]
    private var sources: [UInt64: [String]] = [:]
    private var snapshots: [UInt64: Snapshot] = [:]
    /// Snapshots whose parents are being looked up: a damaged catalog may have a ring of them.
    private var visiting: Set<UInt64> = []
    /// Some content could not be read, so what it needs is unknown and nothing may be collected.
    private var mustKeepChunks = false

    init(_ registry: Registry, _ inheritance: Inheritance) {
        self.registry = registry
        self.inheritance = inheritance
    }

    /// Returns the snapshots that are still to be sealed.
    mutating func run() throws(VolumeError) -> [Snapshot] {
        let contents = try registry.catalog.load()
        if contents.unreadableRows > 0 {
            log.error(
                "the catalog has \(contents.unreadableRows) rows that cannot be read; nothing is collected")
            mustKeepChunks = true
        }
        for row in contents.snapshots { rows[row.id] = row }
        sources = contents.sources
        for row in contents.snapshots { _ = snapshot(row.id) }
        let isMoment = { (row: ImageRow) in row.name.hasPrefix(VolumeStore.momentPrefix) }
        for row in contents.images.filter(isMoment) {
            try registry.catalog.transaction { db in try Catalog.delete(image: row.name, db) }
        }
        let images = contents.images.filter { !isMoment($0) }.map { row in
            Registry.ImageEntry(name: row.name, created: row.created, snapshot: known(row.snapshot))
        }
        let inheritance = inheritance
        let isWanted = { (row: VolumeRow) in !row.isEphemeral || inheritance.keepsVolume(row.name) }
        try removeEphemeral(contents.volumes.filter { !isWanted($0) })
        let volumes = contents.volumes.filter(isWanted).map { volume($0) }
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            state.snapshots = snapshots
            for id in inheritance.snapshots where snapshots[id] != nil { state.held[id] = 1 }
            for entry in images { state.images[entry.name] = entry }
            for volume in volumes { state.volumes[volume.name] = Registry.VolumeEntry(volume: volume) }
            if !mustKeepChunks { try registry.takeGarbage(&state, &garbage) }
        }
        try registry.dispose(garbage)
        // Every row that was read now counts as durable: make it so before anybody relies on it.
        do throws(SystemError) { try Directories.synchronize(registry.deltas) } catch { throw .system(error) }
        try registry.catalog.flush()
        if mustKeepChunks {
            registry.keepsUnreferenced.store(true, ordering: .releasing)
            return unsealed()
        }
        try removeUnknownFiles()
        registry.chunks.collectUnreferenced()
        return unsealed()
    }

    private func unsealed() -> [Snapshot] {
        registry.state.withLock { state in
            state.snapshots.values.filter { !$0.isSealed && $0.brokenReason == nil }
                .sorted { ($0.created, $0.id) < ($1.created, $1.id) }
        }
    }

    /// The snapshot with this number; a broken one where the catalog has none.
    private mutating func known(_ id: UInt64) -> Snapshot {
        if let snapshot = snapshot(id) { return snapshot }
        mustKeepChunks = true
        let missing = Snapshot(
            id: id, blockCount: 1, configuration: [], source: "", created: 0, chunks: registry.chunks,
            content: .broken("its snapshot is missing from the catalog"))
        snapshots[id] = missing
        return missing
    }

    private mutating func snapshot(_ id: UInt64) -> Snapshot? {
        if let snapshot = snapshots[id] { return snapshot }
        guard let row = rows[id], visiting.insert(id).inserted else { return nil }
        defer { visiting.remove(id) }
        let content = content(row)
        if case .broken(let reason) = content {
            log.error("snapshot \(Delta.hex(id)) is damaged: \(reason)")
            mustKeepChunks = true
        }
        let snapshot = Snapshot(
            id: id, blockCount: row.blocks, configuration: row.configuration, source: row.source,
            created: row.created, chunks: registry.chunks, sources: sources[id] ?? [], content: content)
        snapshots[id] = snapshot
        return snapshot
    }

    private mutating func content(_ row: SnapshotRow) -> Snapshot.Content {
        if let digest = row.map {
            let resident = snapshots.values.first { $0.digest == digest }?.residentMap
            do {
                let map = try resident ?? attach(digest, sources[row.id] ?? [])
                if map.blockCount != row.blocks { return .broken("its block map has another length") }
                return .sealed(map, digest, origin: row.origin)
            } catch {
                return .broken("its block map cannot be used: \(error)")
            }
        }
        guard let delta = row.delta else {
            return .broken("the catalog names neither a block map nor a delta")
        }
        let below = row.parent.flatMap { snapshot($0) }
        if row.parent != nil, below == nil {
            return .broken("the snapshot below is missing from the catalog")
        }
        let recovered = Delta.recover(
            id: delta, directory: registry.deltas, bootID: registry.bootID, blockCount: row.blocks,
            mustExist: true)
        if recovered.brokenReason == nil, recovered.blockCount != row.blocks {
            return .broken("its delta has another length")
        }
        if recovered.brokenReason != nil { mustKeepChunks = true }
        recovered.freeze()
        return .layered(recovered, below: below)
    }

    /// A damaged or missing table of places harms only a map that has absent chunks.
    private func attach(_ digest: Digest, _ uris: [String]) throws -> ResidentMap {
        let map = try registry.maps.read(digest)
        var trouble: String?
        do {
            let places = try registry.maps.readPlaces(digest, of: map)
            let ids = try registry.chunks.sources.intern(uris)
            return try registry.chunks.attach(map, places: places, sources: ids)
        } catch ChunkStoreError.missingChunk(let chunk) {
            throw ChunkStoreError.missingChunk(chunk)
        } catch {
            trouble = "\(error)"
        }
        do {
            let resident = try registry.chunks.attach(map)
            log.warning("\(registry.maps.places.path(digest)) is left out: \(trouble ?? "")")
            return resident
        } catch {
            throw LostPlaces(description: "\(error); where it lies cannot be read: \(trouble ?? "")")
        }
    }

    /// Volumes that nobody wants back; files they have only of a snapshot that did not come to be.
    private func removeEphemeral(_ rows: [VolumeRow]) throws(VolumeError) {
        if rows.isEmpty { return }
        try registry.catalog.transaction { db in
            for row in rows { try Catalog.delete(volume: row.name, db) }
        }
        do throws(SystemError) {
            for row in rows {
                try Directories.removeFile(Delta.dataPath(registry.deltas, row.delta))
                try Directories.removeFile(Delta.logPath(registry.deltas, row.delta))
            }
        } catch {
            throw .system(error)
        }
        log.info("removed \(rows.count) volumes of containers that ended with the daemon")
    }

    private mutating func volume(_ row: VolumeRow) -> Volume {
        let parent = row.snapshot.map { known($0) }
        let delta = Delta.recover(
            id: row.delta, directory: registry.deltas, bootID: registry.bootID, blockCount: row.blocks,
            mustExist: row.hasFiles, isEphemeral: row.isEphemeral)
        if let reason = delta.brokenReason { log.error("volume \(row.name) is damaged: \(reason)") }
        return Volume(row, registry, delta: delta, parent: parent)
    }

    // MARK: Files

    /// Removes what no row of the catalog names: it was never acknowledged, or its removal was.
    private func removeUnknownFiles() throws(VolumeError) {
        let (maps, deltas) = registry.state.withLock { state in
            var deltas: Set<String> = []
            for entry in state.volumes.values { insert(entry.volume.layers.delta, into: &deltas) }
            for snapshot in state.snapshots.values {
                if case .layered(let delta, _) = snapshot.currentContent { insert(delta, into: &deltas) }
            }
            let digests = state.snapshots.values.compactMap(\.digest)
            return (Set(digests.flatMap(registry.maps.names)), deltas)
        }
        do throws(SystemError) {
            for directory in MapFiles.directories(registry.root) {
                try removeAll(in: directory, except: maps)
            }
            try removeAll(in: registry.deltas, except: deltas)
        } catch {
            throw .system(error)
        }
    }

    private func insert(_ delta: Delta, into names: inout Set<String>) {
        names.insert(Delta.hex(delta.id) + ".data")
        names.insert(Delta.hex(delta.id) + ".log")
    }

    private func removeAll(in directory: String, except known: Set<String>) throws(SystemError) {
        for name in try Directories.names(in: directory) where !known.contains(name) {
            log.info("removing \(directory)/\(name), which nothing refers to")
            try Directories.removeTree(directory + "/" + name)
        }
    }
}
