// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import Volumes

/// What containerd asks of a snapshotter, with keys of the catalog, volumes and images.
///
/// An active snapshot is a volume that the daemon has mounted, a committed one an image; a view shares the one
/// mount of its parent's image. Keys are of one space, whatever the namespace: containerd's metadata store
/// makes them unique, and collects what it does not know without naming one. Blocks; for plain threads.
final class Snapshotter: Sendable {
    let host: ServiceHost
    private let layers: RemoteLayers
    /// Bytes of the file system of a snapshot without parent, unless a label says otherwise.
    private let volumeBytes: UInt64
    private let locks = KeyLocks()

    init(_ host: ServiceHost, volumeBytes: UInt64) {
        self.host = host
        self.volumeBytes = volumeBytes
        layers = RemoteLayers(host, volumeBytes: volumeBytes)
    }

    private var store: VolumeStore { host.store }

    // MARK: Looking

    func stat(_ key: String) throws -> KeyRecord { try store.key(key) }

    /// What any of the filters matches; all without one.
    func list(_ filters: [String]) throws -> [KeyRecord] {
        let filters = try filters.map { text throws(FilterError) in try Filter(text) }
        let all = try store.keys()
        if filters.isEmpty { return all }
        return all.filter { record in filters.contains { $0.matches(record.field) } }
    }

    func usage(_ key: String) throws -> KeyUsage {
        let record = try store.key(key)
        switch record.kind {
        case .view: return KeyUsage()
        case .committed: return record.usage
        case .active: return try measure(record)
        }
    }

    // MARK: Making

    func prepare(_ key: String, parent: String, labels: [String: String]) throws -> MountPoint {
        try SnapshotLabels.check(key: key)
        let labels = try SnapshotLabels.checked(labels)
        let size = try SnapshotLabels.sizeBytes(labels)
        return try locks.with([key]) {
            if let target = labels[SnapshotLabels.target],
                try layers.register(target, parent: parent, labels: labels)
            {
                throw SnapshotterError(.exists, "snapshot \(target) is there: its image need not be unpacked")
            }
            try layers.fill(parent)
            let record = try store.prepareKey(
                key, parent: parent, base: try base(under: parent, size), labels: labels)
            do {
                if let size, !parent.isEmpty { try host.resize(volume: record.entry, toBytes: size) }
                return try mount(record)
            } catch {
                try? takeAway(record)
                throw error
            }
        }
    }

    func view(_ key: String, parent: String, labels: [String: String]) throws -> MountPoint {
        try SnapshotLabels.check(key: key)
        let labels = try SnapshotLabels.checked(labels)
        return try locks.with([key]) {
            try layers.fill(parent)
            let record = try store.viewKey(
                key, parent: parent, base: try base(under: parent, nil), labels: labels)
            do { return try mount(record) } catch {
                try? takeAway(record)
                throw error
            }
        }
    }

    func mounts(_ key: String) throws -> MountPoint {
        try locks.with([key]) { try mount(try store.key(key)) }
    }

    func commit(_ key: String, as name: String, labels: [String: String]) throws {
        try SnapshotLabels.check(key: name)
        let labels = try SnapshotLabels.checked(labels)
        try locks.with([key, name]) {
            if (try? store.key(name)) != nil {
                throw SnapshotterError(.exists, "committed snapshot \(name) exists already")
            }
            let record = try store.key(key)
            guard record.kind == .active else {
                throw SnapshotterError(.precondition, "snapshot \(key) is not active")
            }
            // Mounted by all means: a daemon that died may have left a journal that is still to be played.
            _ = try mount(record)
            try commit(record, as: name, labels)
        }
    }

    /// Held still meanwhile: whoever goes on to use the file system must not harm what is kept.
    private func commit(_ record: KeyRecord, as name: String, _ labels: [String: String]) throws {
        let directory = directory(record)
        var isCommitted = false
        do {
            try host.holdingStill(directory) {
                _ = try store.commitKey(record.key, as: name, usage: try measure(record), labels: labels)
                isCommitted = true
            }
        } catch {
            // The kernel let go of it too early, so nobody knows what is in there.
            if isCommitted { try? store.removeKey(name) }
            throw error
        }
        do throws(Failure) { try host.unmount(directory) } catch {
            Log.warning(
                "containerd", "cannot unmount what was committed",
                ["directory": directory, "because": "\(error)"])
        }
    }

    /// - Parameter paths: which fields of the labels count; empty for all of them.
    func update(_ key: String, labels: [String: String], paths: [String]) throws -> KeyRecord {
        _ = try SnapshotLabels.checked(labels)
        return try locks.with([key]) {
            try store.updateKey(key) { current throws(KeyError) in
                if paths.isEmpty { current = labels }
                for path in paths {
                    if path == "labels" {
                        current = labels
                    } else if path.hasPrefix("labels.") {
                        let name = String(path.dropFirst("labels.".count))
                        current[name] = labels[name]
                    } else {
                        throw .invalid(
                            "cannot update field \(path) of snapshot \(key): only labels may change")
                    }
                }
                current = current.filter { !$0.value.isEmpty }
            }
        }
    }

    func remove(_ key: String) throws {
        try locks.with([key]) { try takeAway(try store.key(key)) }
    }

    // MARK: Parts

    private func takeAway(_ record: KeyRecord) throws {
        switch record.kind {
        case .active, .view: try host.unmount(directory(record))
        case .committed: host.forget(image: record.entry)
        }
        try store.removeKey(record.key)
    }

    private func mount(_ record: KeyRecord) throws -> MountPoint {
        guard record.kind != .committed else {
            throw SnapshotterError(.precondition, "snapshot \(record.key) is committed: prepare or view it")
        }
        let directory = directory(record)
        try host.mount(record.entry, at: directory)
        return MountPoint(directory: directory, isReadOnly: record.kind == .view)
    }

    /// An active snapshot's is named after its volume; a view has nothing of its own but its key.
    private func directory(_ record: KeyRecord) -> String {
        let name =
            record.kind == .view
            ? "view-" + Digest(hashing: Array(record.key.utf8)).hex.prefix(32) : record.entry[...]
        return "\(host.places.run)/\(ContainerdService.folder)/\(name)"
    }

    /// What a snapshot without parent is made on.
    private func base(under parent: String, _ size: UInt64?) throws(Failure) -> String {
        parent.isEmpty ? try host.emptyImage(sizeBytes: size ?? volumeBytes) : ""
    }

    /// Blocks that differ from what the volume was made on, and inodes that there are more.
    ///
    /// What a file system has still to write is counted by what it has less free.
    private func measure(_ record: KeyRecord) throws -> KeyUsage {
        let volume = try store.volume(named: record.entry)
        let directory = directory(record)
        let disk = try Superblock(ofVolume: record.entry, store)
        let now =
            host.isMounted(directory)
            ? try host.space(at: directory)
            : FileSystemSpace(usedInodes: disk.usedInodes, freeBytes: disk.freeBytes)
        guard let below = try? Superblock(ofImage: volume.parentImage, store) else {
            return KeyUsage(bytes: volume.dirtyBytes, inodes: 0)
        }
        // One that was made larger or smaller has another amount free for that alone.
        let isComparable = below.sizeBytes == disk.sizeBytes && below.freeBytes > now.freeBytes
        return KeyUsage(
            bytes: max(volume.dirtyBytes, isComparable ? below.freeBytes - now.freeBytes : 0),
            inodes: now.usedInodes > below.usedInodes ? now.usedInodes - below.usedInodes : 0)
    }
}

extension KeyRecord {
    /// A field as filters name it; nil when there is none.
    func field(_ path: [String]) -> String? {
        switch path.first {
        case "name": key
        case "parent": parent
        case "kind":
            switch kind {
            case .view: "view"
            case .active: "active"
            case .committed: "committed"
            }
        case "labels": labels[path.dropFirst().joined(separator: ".")]
        default: nil
        }
    }
}
