// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import Synchronization

/// What the state directory holds, in memory, and the rules for what may go.
///
/// Lock order: `state`, then the catalog. A volume's gate is never taken inside `state`.
final class Registry: Sendable {
    struct ImageEntry {
        let name: String
        let created: Int64
        let snapshot: Snapshot
    }

    struct VolumeEntry {
        let volume: Volume
        var inUse: String?
        /// Snapshots of it that are being taken.
        var snapshotsUnderWay = 0
    }

    struct State {
        var images: [String: ImageEntry] = [:]
        var volumes: [String: VolumeEntry] = [:]
        /// Every snapshot that something refers to, by its number.
        var snapshots: [UInt64: Snapshot] = [:]
        /// Snapshots that are mounted, and how often: they stay although no image and no volume has them.
        var held: [UInt64: Int] = [:]
        /// Names of images that are being made.
        var reserved: Set<String> = []
        /// Block maps whose file is written but which no snapshot has yet.
        var pendingMaps: [Digest: Int] = [:]
    }

    let root: String
    let chunks: ChunkStore
    let catalog: Catalog
    let bootID: BootID
    let maps: MapFiles
    let state = Lock(State())
    /// Something could not be read at the start, so what it needs is unknown.
    let keepsUnreferenced = Atomic<Bool>(false)

    init(root: String, chunks: ChunkStore, catalog: Catalog, bootID: BootID) {
        self.root = root
        self.chunks = chunks
        self.catalog = catalog
        self.bootID = bootID
        maps = MapFiles(root: root)
    }

    var deltas: String { root + "/deltas" }

    static func now() -> Int64 { Int64(time(nil)) }

    // MARK: Names

    static func checkFree(_ name: String, _ state: State) throws(VolumeError) {
        if state.volumes[name] != nil { throw .nameTaken(name, by: .volume) }
        if state.images[name] != nil || state.reserved.contains(name) { throw .nameTaken(name, by: .image) }
    }

    /// Keeps the name for an image that `body` makes; nobody else can take it meanwhile.
    ///
    /// - Parameter replacing: an image may have the name already, and keeps it until `body` gives it away.
    func reserving<T>(
        _ name: String, replacing: Bool = false, _ body: () throws(VolumeError) -> T
    ) throws(VolumeError) -> T {
        try Names.checkImage(name)
        try state.withLock { (state) throws(VolumeError) in
            if !replacing || state.images[name] == nil || state.reserved.contains(name) {
                try Self.checkFree(name, state)
            }
            state.reserved.insert(name)
        }
        defer { _ = state.withLock { $0.reserved.remove(name) } }
        return try body()
    }

    static func image(_ name: String, _ state: State) throws(VolumeError) -> ImageEntry {
        if let entry = state.images[name] { return entry }
        throw .notFound(.image, name, nearest: Names.nearest(to: name, among: Array(state.images.keys)))
    }

    static func volume(_ name: String, _ state: State) throws(VolumeError) -> VolumeEntry {
        if let entry = state.volumes[name] { return entry }
        throw .notFound(.volume, name, nearest: Names.nearest(to: name, among: Array(state.volumes.keys)))
    }

    // MARK: Block maps

    /// Writes the map's file while `body` makes a snapshot of it: no concurrent removal takes the file away.
    func keepingMap<T>(
        _ map: EncodedBlockMap, _ body: () throws(VolumeError) -> T
    ) throws(VolumeError) -> T {
        try keepingFiles(map.digest) { () throws(VolumeError) in
            try maps.write(map)
            return try body()
        }
    }

    /// Lets nobody remove the map's files while `body` runs; those that no snapshot needs go after it.
    func keepingFiles<T>(
        _ digest: Digest, _ body: () throws(VolumeError) -> T
    ) throws(VolumeError) -> T {
        state.withLock { $0.pendingMaps[digest, default: 0] += 1 }
        defer {
            state.withLock { state in
                let count = (state.pendingMaps[digest] ?? 1) - 1
                state.pendingMaps[digest] = count > 0 ? count : nil
                if count == 0 { dropMap(digest, state) }
            }
        }
        return try body()
    }

    /// The map with this digest that some snapshot has in memory already.
    func shared(_ digest: Digest) -> ResidentMap? {
        state.withLock { state in
            state.snapshots.values.first { $0.digest == digest }?.residentMap
        }
    }

    private func dropMap(_ digest: Digest, _ state: State) {
        if state.pendingMaps[digest] != nil { return }
        if state.snapshots.values.contains(where: { $0.digest == digest }) { return }
        maps.remove(digest)
    }

    // MARK: Collection

    /// What a collection has to do once the catalog has been flushed.
    struct Garbage {
        var volumes: [Volume] = []
        var snapshots: [Snapshot] = []
        var isEmpty: Bool { volumes.isEmpty && snapshots.isEmpty }
    }

    /// Takes out the snapshots that no image, volume or unsealed snapshot refers to any more.
    func takeGarbage(_ state: inout State, _ garbage: inout Garbage) throws(VolumeError) {
        var live: Set<UInt64> = []
        var queue = state.images.values.map(\.snapshot)
        queue += state.volumes.values.compactMap { $0.volume.parentForCollection.withLock { $0 } }
        queue += state.held.keys.compactMap { state.snapshots[$0] }
        while let snapshot = queue.popLast() {
            if live.insert(snapshot.id).inserted, let below = snapshot.below { queue.append(below) }
        }
        let dead = state.snapshots.values.filter { !live.contains($0.id) }
        if dead.isEmpty { return }
        try catalog.transaction { db in
            for snapshot in dead { try Catalog.delete(snapshot: snapshot.id, db) }
        }
        for snapshot in dead {
            state.snapshots[snapshot.id] = nil
            garbage.snapshots.append(snapshot)
        }
    }

    /// Deletes the files of what was taken out.
    ///
    /// The catalog is flushed first: after a power cut it must not name files that are gone.
    func dispose(_ garbage: Garbage) throws(VolumeError) {
        if garbage.isEmpty { return }
        if !garbage.snapshots.isEmpty || !garbage.volumes.allSatisfy(\.isEphemeral) { try catalog.flush() }
        for snapshot in garbage.snapshots {
            switch snapshot.currentContent {
            case .sealed(_, let digest, _): state.withLock { dropMap(digest, $0) }
            case .layered(let delta, _): try delta.removeFiles()
            case .broken: break
            }
        }
        for volume in garbage.volumes { try volume.gate.reading { volume.layers.delta }.removeFiles() }
    }
}
