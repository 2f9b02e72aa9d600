// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks

/// All chunks of a machine, plain and verified, each stored once.
///
/// A directory with an append-only index and a few large arena files. Whoever opens it must be the only one:
/// the caller holds a lock on the directory.
public final class ChunkStore: Sendable {
    let core: StoreCore
    @usableFromInline let stability: ReadWriteLock
    /// The sources that packs can be fetched from.
    public let sources = SourceRegistry()

    /// Opens the store in a directory, or makes it there.
    ///
    /// A torn end of the index, as a power cut leaves it, is cut off; records whose data is not there are
    /// dropped. Both are logged.
    public convenience init(directory: String) throws(ChunkStoreError) {
        try self.init(directory: directory, hooks: StoreHooks())
    }

    init(directory: String, hooks: StoreHooks) throws(ChunkStoreError) {
        core = try StoreCore(directory: directory, hooks: hooks)
        stability = core.stability
    }

    deinit {
        core.fetched.stop(core)
        core.reclaimer.stop()
    }

    /// Starts a series of chunks that enter the store together.
    public func beginIngest() -> IngestSession {
        IngestSession(self)
    }

    /// Makes a map readable, with a reference on each of its chunks.
    /// - Throws: `missingChunk` when the store does not know them all; then no reference is kept.
    public func attach(_ map: BlockMap) throws(ChunkStoreError) -> ResidentMap {
        try attach(map, places: nil, sources: [])
    }

    /// Frees every chunk that no resident map and no session refers to, and returns how many and how large.
    ///
    /// A reference count that falls to zero frees nothing by itself, since maps also go away when the program
    /// ends. Call this when every live map is attached: once after start, and after each removal of an image
    /// or a volume (it only looks at chunks whose count has fallen to zero since the last call). The space is
    /// given back in the background.
    @discardableResult
    public func collectUnreferenced() -> (chunks: Int, bytes: UInt64) {
        core.collect()
    }

    /// Waits until the space of everything that was freed so far has been given back.
    public func finishReclaiming() {
        core.reclaimer.finish()
    }

    /// Runs `body` while no slot can be freed under it: every read of a `Segment` must lie inside.
    ///
    /// Not to be nested: a reader that waits for itself behind a writer would never wake.
    @inlinable
    public func withStableSlots<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        try stability.reading(body)
    }

    public func statistics() -> ChunkStoreStatistics {
        var figures = ChunkStoreStatistics()
        core.table.withLock { table in
            figures.chunks = table.count
            figures.plainBytes = table.plainBlocks * UInt64(Block.bytes)
            figures.absentChunks = table.absentCount
            figures.absentBytes = table.absentBlocks * UInt64(Block.bytes)
            figures.packs = table.places.packCount
            figures.references = table.references
            figures.cachedBytes = table.cachedBlocks * UInt64(Block.bytes)
            figures.unreferencedChunks = table.unreferencedCount
        }
        figures.allocatedBytes = core.arenas.allocatedBytes()
        figures.arenas = core.arenas.all.count
        figures.indexBytes = core.index.withLock { $0.end }
        return figures
    }

    // MARK: Single chunks

    /// True when the chunk is stored; not when it is absent.
    public func contains(_ chunk: ChunkDescriptor) -> Bool {
        core.table.withLock { table in table.find(chunk).map { table.slots[$0].isPresent } ?? false }
    }

    /// The handle of a chunk that is known, present or absent; it stays valid while somebody else holds a
    /// reference on the chunk.
    public func handle(of chunk: ChunkDescriptor) -> ChunkHandle? {
        core.table.withLock { $0.find(chunk) }.map(ChunkHandle.init(index:))
    }

    /// The plain bytes of a chunk, checked against its digest.
    /// - Throws: `absentChunk` when it has not been fetched, `missingChunk` when it is not known.
    public func read(_ chunk: ChunkDescriptor) throws(ChunkStoreError) -> [UInt8] {
        let (handles, pins) = try core.retain([chunk], nil)
        defer { core.drop(handles, pins) }
        return try core.read(handles[0], digest: chunk.digest)
    }

    /// Reads a chunk, on which somebody holds a reference, and checks it against its digest.
    public func verify(_ handle: ChunkHandle) throws(ChunkStoreError) {
        let digest = core.table.withLock { $0.digest(of: handle.index) }
        _ = try core.read(handle.index, digest: digest)
    }

    /// The names of all stored chunks, in no particular order.
    public func allChunks() -> [ChunkDescriptor] {
        core.table.withLock { table in
            var chunks: [ChunkDescriptor] = []
            chunks.reserveCapacity(table.count)
            table.forEach { handle in
                if table.slots[handle].isPresent { chunks.append(table.descriptor(of: handle)) }
            }
            return chunks
        }
    }
}

extension StoreCore {
    /// Takes a reference on each chunk, or on none; notes places on the way, which makes unknown chunks
    /// absent ones.
    ///
    /// Where no source is known that could bring a chunk back, the reference is a pin.
    func retain(
        _ chunks: [ChunkDescriptor], _ noter: PlaceNoter?
    ) throws(ChunkStoreError) -> (handles: [UInt32], pins: ChunkPins) {
        var handles: [UInt32] = []
        handles.reserveCapacity(chunks.count)
        var pinned: [UInt32] = []
        for start in stride(from: 0, to: chunks.count, by: Self.batch) {
            let batch = start..<min(start + Self.batch, chunks.count)
            let missing = table.withLock { Self.retain(chunks, batch, $0, noter, &handles, &pinned) }
            if let missing {
                drop(handles, .some(pinned))
                throw .missingChunk(missing)
            }
        }
        return (handles, pinned.count == handles.count ? .all : .some(pinned))
    }

    /// Returns the first chunk of which neither bytes nor a place are known.
    private static func retain(
        _ chunks: [ChunkDescriptor], _ batch: Range<Int>, _ table: ChunkTable, _ noter: PlaceNoter?,
        _ handles: inout [UInt32], _ pinned: inout [UInt32]
    ) -> Digest? {
        var noting = noter?.begin(table)
        defer { noting?.finish() }
        for index in batch {
            let chunk = chunks[index]
            var found = table.find(chunk)
            if found == nil, let noter, noter.knowsPlace(of: index) {
                found = table.insert(chunk.digest, .absent(count: chunk.blockCount), [])
            }
            guard let handle = found else { return chunk.digest }
            table.retain(handle)
            handles.append(handle)
            noting?.note(index, for: handle)
            if noter?.canFetch(index) != true {
                table.pin(handle)
                pinned.append(handle)
            }
        }
        return nil
    }

    /// The names of chunks on which the caller holds references.
    func descriptors(of handles: [UInt32]) -> [ChunkDescriptor] {
        table.withLock { table in
            handles.map(table.descriptor)
        }
    }

    func read(_ handle: UInt32, digest: Digest) throws(ChunkStoreError) -> [UInt8] {
        // A chunk that is evicted meanwhile keeps its bytes until the end of this.
        let (bytes, arena, slot) = try stability.reading { () throws(ChunkStoreError) in
            let slot = slots.touching(handle)
            if slot.isAbsent { throw .absentChunk(digest) }
            guard slot.isPresent, let arena = arenas.arena(at: slot.arena) else {
                throw .missingChunk(digest)
            }
            do throws(SystemError) {
                return (try arena.file.read(count: slot.byteCount, at: slot.offset), arena, slot)
            } catch {
                throw ChunkStoreError(error)
            }
        }
        if Digest(hashing: bytes) != digest {
            throw .damagedChunk(digest, path: arena.file.path, offset: slot.offset)
        }
        return bytes
    }
}
