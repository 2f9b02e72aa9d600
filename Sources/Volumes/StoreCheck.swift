// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import GRDB
import Glibc

/// One check of a state directory, beside whatever else is done with it.
///
/// In order: the catalog by itself, its rows against the files, block maps against the chunk store, digests of
/// chunks, files that no row names. Opening a store has repaired its index and cleared away what an unclean end
/// left; that is told too.
struct StoreCheck {
    let registry: Registry
    let options: CheckOptions
    /// Gets what is being done, and bytes done of bytes in all; false ends the check.
    let progress: (_ phase: String, _ doneBytes: UInt64, _ totalBytes: UInt64) -> Bool
    var report = CheckReport()

    init(
        _ registry: Registry, _ options: CheckOptions,
        progress: @escaping (_ phase: String, _ doneBytes: UInt64, _ totalBytes: UInt64) -> Bool
    ) {
        self.registry = registry
        self.options = options
        self.progress = progress
    }

    mutating func run() throws(VolumeError) {
        _ = progress("catalog", 0, 0)
        reportOpening()
        try checkCatalog()
        // Before the rows are taken down: whatever has a row later was not in the directory yet, or is known.
        let files = try listFiles()
        let state = registry.state.withLock { $0 }
        report.images = state.images.count
        report.volumes = state.volumes.count
        checkImages(state)
        checkVolumes(state)
        _ = progress("maps", 0, 0)
        let maps = checkMaps(state)
        if options.isDeep { checkChunks(maps) }
        checkFiles(files)
    }

    // MARK: Catalog

    private mutating func reportOpening() {
        let opening = registry.chunks.openingReport
        let index = "chunk index"
        if opening.droppedIndexBytes > 0 {
            report.add(
                index, "\(opening.droppedIndexBytes) bytes behind its last intact record", .repaired,
                "cut off when the store was opened")
        }
        if opening.unbackedChunks > 0 {
            report.add(
                index, "\(opening.unbackedChunks) records without data", .repaired,
                "left out when the store was opened")
        }
        if opening.leakedBytes > 0 {
            report.add(
                "arenas", "\(opening.leakedBytes) bytes of no chunk", .repaired,
                "freed by the first collection after the store was opened")
        }
    }

    private mutating func checkCatalog() throws(VolumeError) {
        let lines = try registry.catalog.read { db in
            try String.fetchAll(db, sql: "PRAGMA integrity_check(20)")
        }
        for line in lines where line != "ok" {
            report.add("catalog", line, .open, "restore \(registry.catalog.path) from a copy")
        }
        let unreadable = try registry.catalog.load().unreadableRows
        if unreadable > 0 {
            report.add(
                "catalog", "\(unreadable) rows cannot be read", .open,
                "nothing is collected while they are there; restore \(registry.catalog.path) from a copy")
        }
    }

    private mutating func checkImages(_ state: Registry.State) {
        for entry in state.images.values.sorted(by: { $0.name < $1.name }) {
            guard let reason = entry.snapshot.brokenReason else { continue }
            report.add(
                "image '\(entry.name)'", reason, .quarantined,
                "it cannot be used; remove it, then import or pull it again")
        }
    }

    private mutating func checkVolumes(_ state: Registry.State) {
        for entry in state.volumes.values.sorted(by: { $0.volume.name < $1.volume.name }) {
            let name = "volume '\(entry.volume.name)'"
            let delta = entry.volume.gate.reading { entry.volume.layers.delta }
            if let reason = entry.volume.brokenReason {
                report.add(
                    name, reason, .quarantined, "it cannot be used; remove it, or restore it from a copy")
            } else if !entry.volume.isEphemeral, delta.files.withLock({ $0.data != nil }) {
                for path in [delta.dataPath, delta.logPath] where !Directories.exists(path) {
                    report.add(
                        name, "\(path) is missing", .open,
                        "its content lasts until the daemon ends: snapshot it now, and restore the file")
                }
            }
        }
    }

    // MARK: Block maps

    /// Checks the files of every block map, and the map against the chunks; returns the maps.
    private mutating func checkMaps(_ state: Registry.State) -> [String: ResidentMap] {
        var maps: [Digest: (subject: String, map: ResidentMap)] = [:]
        for snapshot in state.snapshots.values {
            guard case .sealed(let map, let digest, _) = snapshot.currentContent else { continue }
            let names = state.images.values.filter { $0.snapshot.digest == digest }.map(\.name).sorted()
            let name = names.first.map { "image '\($0)'" } ?? "snapshot \(Delta.hex(snapshot.id))"
            maps[digest] = (name, map)
        }
        for (digest, entry) in maps.sorted(by: { $0.value.subject < $1.value.subject }) {
            report.maps += 1
            let map = entry.map.map
            report.references += map.chunks.count
            checkMapFile(digest, map, entry.subject)
            checkPlaces(digest, map, entry.map, entry.subject)
            let lost = registry.chunks.unreachable(in: entry.map)
            if let first = lost.first {
                report.add(
                    entry.subject,
                    "\(lost.count) chunks are neither here nor in any pack, \(first.digest) first",
                    .open, "import or pull it again under another name")
            }
        }
        let few = registry.chunks.countsBelow(maps.values.map(\.map))
        if let first = few.first {
            report.add(
                "reference counts", "\(few.count) are too low, that of \(first.digest) first", .open,
                "restart the daemon before anything is removed")
        }
        return Dictionary(uniqueKeysWithValues: maps.values.map { ($0.subject, $0.map) })
    }

    private mutating func checkMapFile(_ digest: Digest, _ map: BlockMap, _ subject: String) {
        let registry = registry
        let reason: String
        do {
            if try registry.maps.read(digest) == map { return }
            reason = "is that of another map"
        } catch {
            reason = "cannot be read: \(error)"
        }
        if !isUsed(digest) { return }
        let encoded = map.encode()
        mend(subject, "\(registry.maps.maps.path(digest)) \(reason)", "written anew from memory") {
            // What is damaged has the right length, perhaps, and would be taken for the file itself.
            guard Digest(hashing: encoded) == digest else { throw BlockMapError.checksumMismatch }
            try registry.keepingFiles(digest) { () throws(VolumeError) in
                try catching { () throws(SystemError) in try registry.maps.maps.write(encoded, digest) }
            }
        }
    }

    private mutating func checkPlaces(
        _ digest: Digest, _ map: BlockMap, _ resident: ResidentMap, _ subject: String
    ) {
        let registry = registry
        do {
            let table = try registry.maps.readPlaces(digest, of: map)
            if table == nil, resident.needsPlaces, isUsed(digest) {
                throw SystemError(ENOENT, "open", registry.maps.places.path(digest))
            }
        } catch {
            let table = registry.chunks.places(for: map)
            let path = registry.maps.places.path(digest)
            mend(subject, "\(path) cannot be read: \(error)", "written anew from what is known") {
                try registry.keepingFiles(digest) { () throws(VolumeError) in
                    if table.packs.isEmpty { return registry.maps.places.remove(digest) }
                    try registry.maps.write(table, digest)
                }
            }
        }
        do { _ = try registry.maps.readProfile(digest) } catch {
            let path = registry.maps.profiles.path(digest)
            mend(subject, "\(path) cannot be read: \(error)", "removed; the next container makes one") {
                registry.maps.profiles.remove(digest)
            }
        }
    }

    /// False when the map has gone with its last snapshot, and its files with it.
    private func isUsed(_ digest: Digest) -> Bool {
        registry.state.withLock { state in state.snapshots.values.contains { $0.digest == digest } }
    }

    mutating func mend(
        _ subject: String, _ problem: String, _ done: String, _ body: () throws -> Void
    ) {
        if !options.repairs { return report.add(subject, problem, .open, "can be repaired with --repair") }
        do {
            try body()
            report.add(subject, problem, .repaired, done)
        } catch {
            report.add(subject, problem, .open, "could not be repaired: \(error)")
        }
    }
}
