// SPDX-License-Identifier: Apache-2.0

import Base
import GRDB
import Glibc

// Another program's keys: each is a row beside the volume or the image that it stands for, and both change in
// one transaction. Who calls keeps other calls for the same key away meanwhile.

extension VolumeStore {
    // MARK: Looking

    /// Errors: `.notFound`.
    public func key(_ key: String) throws(KeyError) -> KeyRecord {
        let found = try wrapping { () throws(VolumeError) in
            try registry.catalog.read { db in try Catalog.key(key, db) }
        }
        guard let found else { throw .notFound(key) }
        return found
    }

    /// All of them, by key.
    public func keys() throws(KeyError) -> [KeyRecord] {
        try wrapping { () throws(VolumeError) in try registry.catalog.read { db in try Catalog.keys(db) } }
    }

    /// The key that a volume or an image belongs to; nil for those that people have made.
    public func key(ofEntry name: String) throws(VolumeError) -> String? {
        try registry.catalog.read { db in try Catalog.key(ofEntry: name, db) }
    }

    // MARK: Changing

    /// Makes a key with a volume of its own, a clone of what the parent shows.
    ///
    /// - Parameter base: the image to clone when there is no parent.
    public func prepareKey(
        _ key: String, parent: String, base: String, labels: [String: String]
    ) throws(KeyError) -> KeyRecord {
        let record = try registry.state.withLock { (state) throws(KeyError) -> KeyRecord in
            let image = try imageToUse(key, parent, base)
            let entry = Names.keyVolume(Catalog.newID())
            let record = KeyRecord(key, parent, .active, entry, labels)
            try wrapping { () throws(VolumeError) in
                let snapshot = try Registry.image(image, state).snapshot
                if let reason = snapshot.brokenReason { throw .broken(image, reason: reason) }
                _ = try make(
                    entry, nil, parent: snapshot, parentImage: image, snapshot.blockCount, ephemeral: false,
                    &state
                ) { db in try Catalog.insert(record, db) }
            }
            return record
        }
        sealer.poke()
        return record
    }

    /// Makes a key that shows what its parent does.
    public func viewKey(
        _ key: String, parent: String, base: String, labels: [String: String]
    ) throws(KeyError) -> KeyRecord {
        try registry.state.withLock { (state) throws(KeyError) -> KeyRecord in
            let image = try imageToUse(key, parent, base)
            let record = KeyRecord(key, parent, .view, image, labels)
            try wrapping { () throws(VolumeError) in
                _ = try Registry.image(image, state)
                try registry.catalog.transaction { db in try Catalog.insert(record, db) }
            }
            return record
        }
    }

    /// Makes a committed key that stands for layers of an image.
    ///
    /// - Parameter image: what shows just these layers; nil when that is still to be made (`setImage`).
    public func registerKey(
        _ key: String, parent: String, image: String?, origin: String, depth: Int, usage: KeyUsage,
        labels: [String: String]
    ) throws(KeyError) -> KeyRecord {
        let record = try registry.state.withLock { (state) throws(KeyError) -> KeyRecord in
            try checkFree(key)
            try checkParent(parent)
            var record = KeyRecord(key, parent, .committed, "", labels)
            (record.origin, record.depth, record.usage) = (origin, depth, usage)
            guard let image else {
                try change { db in try Catalog.insert(record, db) }
                return record
            }
            try wrapping { () throws(VolumeError) in
                try addName(of: image, &record, &state) { record, db in try Catalog.insert(record, db) }
            }
            return record
        }
        try flush()
        return record
    }

    /// Says what a committed key shows that had no image.
    public func setImage(_ image: String, ofKey key: String) throws(KeyError) {
        var record = try self.key(key)
        if record.kind != .committed || !record.entry.isEmpty { return }
        try registry.state.withLock { (state) throws(KeyError) in
            try wrapping { () throws(VolumeError) in
                try addName(of: image, &record, &state) { record, db in
                    try Catalog.replace(key: key, with: record, db)
                }
            }
        }
        try flush()
    }

    /// Makes a committed key of an active one, without copying anything: its volume becomes an image.
    ///
    /// Durable. The volume must be unmounted, or its file system held still.
    public func commitKey(
        _ key: String, as name: String, usage: KeyUsage, labels: [String: String]
    ) throws(KeyError) -> KeyRecord {
        try checkFree(name)
        let active = try self.key(key)
        guard active.kind == .active else {
            throw .precondition("snapshot \(key) is not active, so it cannot be committed")
        }
        let image = Names.keyImage(Catalog.newID())
        var record = KeyRecord(name, active.parent, .committed, image, labels)
        record.usage = usage
        try wrapping { () throws(VolumeError) in
            _ = try snapshot(volume: active.entry, as: image) { [record] db in
                try Catalog.delete(volume: active.entry, db)
                try Catalog.replace(key: key, with: record, db)
            }
            let volume = registry.state.withLock { $0.volumes.removeValue(forKey: active.entry)?.volume }
            // Whoever has it open still writes to files that have no name.
            if let volume { try volume.gate.reading { volume.layers.delta }.removeFiles() }
        }
        return record
    }

    /// Removes a key with its volume or its image.
    ///
    /// Errors: `.notFound`, and `.precondition` while others are made on it.
    public func removeKey(_ key: String) throws(KeyError) {
        let garbage = try registry.state.withLock { (state) throws(KeyError) -> Registry.Garbage in
            let record = try self.key(key)
            let hasChildren = try wrapping { () throws(VolumeError) in
                try registry.catalog.read { db in try Catalog.hasChildren(key: key, db) }
            }
            if hasChildren {
                throw .precondition("cannot remove snapshot \(key): others are made on it")
            }
            return try wrapping { () throws(VolumeError) in try remove(record, &state) }
        }
        try wrapping { () throws(VolumeError) in
            try registry.catalog.flush()
            try registry.dispose(garbage)
        }
        sealer.collect()
    }

    /// Changes the labels of a key.
    public func updateKey(
        _ key: String, _ body: (inout [String: String]) throws(KeyError) -> Void
    ) throws(KeyError) -> KeyRecord {
        try registry.state.withLock { (_) throws(KeyError) in
            var record = try self.key(key)
            try body(&record.labels)
            record.updatedNs = max(KeyRecord.now(), record.updatedNs + 1)
            try change { [record] db in try Catalog.replace(key: key, with: record, db) }
            return record
        }
    }

    // MARK: Parts

    private func remove(
        _ record: KeyRecord, _ state: inout Registry.State
    ) throws(VolumeError) -> Registry.Garbage {
        try registry.catalog.transaction { db in
            try Catalog.delete(key: record.key, db)
            switch record.kind {
            case .active: try Catalog.delete(volume: record.entry, db)
            case .committed: try Catalog.delete(image: record.entry, db)
            case .view: break
            }
        }
        var garbage = Registry.Garbage()
        switch record.kind {
        case .active:
            if let entry = state.volumes.removeValue(forKey: record.entry) {
                garbage.volumes.append(entry.volume)
            }
        case .committed: state.images[record.entry] = nil
        case .view: break
        }
        try registry.takeGarbage(&state, &garbage)
        return garbage
    }

    /// Gives the snapshot of an image a second name, which is the key's own.
    private func addName(
        of image: String, _ record: inout KeyRecord, _ state: inout Registry.State,
        _ write: (KeyRecord, Database) throws -> Void
    ) throws(VolumeError) {
        let snapshot = try Registry.image(image, state).snapshot
        record.entry = Names.keyImage(Catalog.newID())
        let row = ImageRow(name: record.entry, snapshot: snapshot.id, created: Registry.now())
        try registry.catalog.transaction { [record] db in
            try Catalog.insert(row, db)
            try write(record, db)
        }
        state.images[row.name] = Registry.ImageEntry(
            name: row.name, created: row.created, snapshot: snapshot)
    }

    /// The image that a new key on this parent is made on.
    private func imageToUse(_ key: String, _ parent: String, _ base: String) throws(KeyError) -> String {
        let parent = try checkParent(parent)
        try checkFree(key)
        guard let parent else { return base }
        if parent.entry.isEmpty {
            throw .precondition("snapshot \(parent.key) has no content yet; fetch it first")
        }
        return parent.entry
    }

    private func checkFree(_ key: String) throws(KeyError) {
        if key.isEmpty { throw .invalid("a snapshot needs a key") }
        do throws(KeyError) { _ = try self.key(key) } catch {
            guard case .notFound = error else { throw error }
            return
        }
        throw .exists(key)
    }

    /// Nil when no parent is named.
    @discardableResult
    private func checkParent(_ parent: String) throws(KeyError) -> KeyRecord? {
        if parent.isEmpty { return nil }
        let record = try key(parent)
        guard record.kind == .committed else {
            throw .invalid("parent \(parent) is not a committed snapshot")
        }
        return record
    }

    private func change(_ body: (Database) throws -> Void) throws(KeyError) {
        try wrapping { () throws(VolumeError) in try registry.catalog.transaction(body) }
    }

    private func flush() throws(KeyError) {
        try wrapping { () throws(VolumeError) in try registry.catalog.flush() }
    }

    private func wrapping<T>(_ body: () throws(VolumeError) -> T) throws(KeyError) -> T {
        do throws(VolumeError) { return try body() } catch { throw .store(error) }
    }
}

extension KeyRecord {
    fileprivate init(
        _ key: String, _ parent: String, _ kind: KeyKind, _ entry: String, _ labels: [String: String]
    ) {
        let now = Self.now()
        self.init(
            key: key, parent: parent, kind: kind, entry: entry, origin: "", depth: 0, labels: labels,
            createdNs: now, updatedNs: now, usage: KeyUsage())
    }

    fileprivate static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension Names {
    private static let keyImages = "keys/"
    private static let keyVolumes = "keys-"

    static func keyImage(_ id: UInt64) -> String { keyImages + Delta.hex(id) }
    static func keyVolume(_ id: UInt64) -> String { keyVolumes + Delta.hex(id) }

    /// The image without files, of a file system of that size, on which keys without a parent are made.
    public static func emptyImage(sizeBytes: UInt64) -> String { keyImage(sizeBytes) }

    /// Whether an image or a volume of this name is one behind a key, which is nobody's to remove by name.
    ///
    /// By its form: people may use such names too, and are then not shown them in lists.
    public static func isBehindKey(_ name: String) -> Bool {
        [keyImages, keyVolumes].contains { name.hasPrefix($0) && name.utf8.count == $0.utf8.count + 16 }
    }
}
