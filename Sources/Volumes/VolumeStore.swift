// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
public import ChunkStore
import Glibc

/// The state directory: images, volumes, and the chunks and deltas that they are made of.
///
/// Safe to use from any thread. Methods block; call them from plain threads.
public final class VolumeStore: Sendable {
    /// The state directory.
    public let root: String
    public let chunks: ChunkStore
    let registry: Registry
    let sealer: Sealer
    /// Held for as long as the store lives; the kernel lets go of it with the process.
    private let lockFile: File

    /// Opens a state directory, making it where there is none, and repairs what an unclean end left.
    ///
    /// A damaged image or volume does not fail the start: it is listed with its `brokenReason`.
    /// Errors: `.rootLocked`, `.newerFormat`, `.catalog`, `.chunks`, `.system`.
    /// - Parameter inheritance: what of a former life goes on.
    public convenience init(root: String, inheritance: Inheritance = .nothing) throws(VolumeError) {
        let bootID: BootID
        do throws(SystemError) { bootID = try BootID.current() } catch { throw .system(error) }
        try self.init(root: root, bootID: bootID, inheritance: inheritance)
    }

    init(root: String, bootID: BootID, inheritance: Inheritance = .nothing) throws(VolumeError) {
        self.root = root
        do throws(SystemError) {
            for directory in [root, root + "/deltas"] + MapFiles.directories(root) {
                try Directories.create(directory)
            }
            lockFile = try File(open: root + "/lock", O_RDWR | O_CREAT)
        } catch {
            throw .system(error)
        }
        let isOurs: Bool
        do throws(SystemError) { isOurs = try lockFile.tryLock() } catch { throw .system(error) }
        if !isOurs { throw .rootLocked(root) }
        let catalog = try Catalog(path: root + "/catalog.db", root: root)
        do throws(ChunkStoreError) {
            chunks = try ChunkStore(directory: root + "/chunks")
        } catch {
            throw .chunks(error)
        }
        registry = Registry(root: root, chunks: chunks, catalog: catalog, bootID: bootID)
        var recovery = StoreRecovery(registry, inheritance)
        let unsealed = try recovery.run()
        sealer = try Sealer(registry)
        sealer.schedule(unsealed)
    }

    deinit { sealer.stop() }

    /// Ends the background work in an orderly way; nothing may be called on the store afterwards.
    public func close() {
        sealer.stop()
    }

    // MARK: Looking

    /// Every image, by name.
    public func images() -> [ImageRecord] {
        let entries = registry.state.withLock { Array($0.images.values) }
        return entries.map { Self.record($0) }.sorted { $0.name < $1.name }
    }

    /// Every volume, by name.
    public func volumes() -> [VolumeRecord] {
        let entries = registry.state.withLock { Array($0.volumes.values) }
        return entries.map { Self.record($0) }.sorted { $0.name < $1.name }
    }

    /// Errors: `.notFound`.
    public func image(named name: String) throws(VolumeError) -> ImageRecord {
        Self.record(
            try registry.state.withLock { (state) throws(VolumeError) in try Registry.image(name, state) })
    }

    /// Errors: `.notFound`.
    public func volume(named name: String) throws(VolumeError) -> VolumeRecord {
        Self.record(
            try registry.state.withLock { (state) throws(VolumeError) in try Registry.volume(name, state) })
    }

    /// What a name stands for; nil when nothing has it.
    public func kind(of name: String) -> EntryKind? {
        registry.state.withLock { state in
            state.images[name] != nil ? .image : state.volumes[name] != nil ? .volume : nil
        }
    }

    /// The image's content, which stays readable for as long as the object lives.
    ///
    /// Errors: `.notFound`, `.broken`.
    public func blockFile(image name: String) throws(VolumeError) -> Snapshot {
        let entry = try registry.state.withLock { (state) throws(VolumeError) in
            try Registry.image(name, state)
        }
        if let reason = entry.snapshot.brokenReason { throw .broken(name, reason: reason) }
        return entry.snapshot
    }

    /// The volume itself.
    ///
    /// Errors: `.notFound`, `.broken`.
    public func blockFile(volume name: String) throws(VolumeError) -> Volume {
        let entry = try registry.state.withLock { (state) throws(VolumeError) in
            try Registry.volume(name, state)
        }
        if let reason = entry.volume.brokenReason { throw .broken(name, reason: reason) }
        return entry.volume
    }

    static func record(_ entry: Registry.ImageEntry) -> ImageRecord {
        let snapshot = entry.snapshot
        return ImageRecord(
            name: entry.name, id: snapshot.id, sizeBytes: snapshot.sizeBytes,
            dataBytes: snapshot.residentMap.map { $0.mappedBlockCount * UInt64(Block.bytes) },
            localBytes: snapshot.residentMap?.presentBytes,
            created: entry.created, digest: snapshot.digest, parentDigest: snapshot.parentDigest,
            configuration: snapshot.configuration, source: snapshot.source, sources: snapshot.sources,
            isSealed: snapshot.isSealed, brokenReason: snapshot.brokenReason)
    }

    private static func record(_ entry: Registry.VolumeEntry) -> VolumeRecord {
        let volume = entry.volume
        let parent = volume.parentForCollection.withLock { $0 }
        return VolumeRecord(
            name: volume.name, id: volume.id, sizeBytes: volume.sizeBytes, created: volume.created,
            parentImage: volume.parentImage, parentDigest: parent?.digest,
            configuration: parent?.configuration ?? [], dirtyBytes: volume.dirtyBytes,
            isEphemeral: volume.isEphemeral, inUse: entry.inUse,
            brokenReason: volume.brokenReason)
    }
}
