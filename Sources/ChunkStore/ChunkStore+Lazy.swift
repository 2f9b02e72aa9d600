// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// Chunks that are known before they are here.
extension ChunkStore {
    /// Makes a map readable, with a reference on each of its chunks; those that are not here become absent
    /// ones.
    ///
    /// The places are noted for all chunks, present ones too. Chunks that no source has stay here as long as
    /// the map lives; others may become absent again when the cache is full, so the table must be kept.
    /// - Parameter sources: who has the packs of the table, the one to ask first in front.
    /// - Throws: `missingChunk` for a chunk that is not here and of which no place is known; `badPlaces` when
    ///   the table is not one of this map. Then no reference is kept.
    public func attach(
        _ map: BlockMap, places: PlaceTable?, sources: [SourceID]
    ) throws(ChunkStoreError) -> ResidentMap {
        if let reason = places?.complaint(as: map) { throw .badPlaces(reason: reason) }
        let noter = places.map { PlaceNoter($0, sources) }
        let (handles, pins) = try core.retain(map.chunks, noter)
        let boot = places?.bootOrder.map { ChunkHandle(index: handles[$0]) } ?? []
        return ResidentMap(map, chunkHandles: handles, pins: pins, bootChunks: boot, store: self)
    }

    /// Notes where chunks of a map that the store knows can be fetched from, after a push.
    /// - Precondition: the table is one of this map.
    public func notePlaces(_ map: BlockMap, _ table: PlaceTable, sources: [SourceID]) {
        let reason = table.complaint(as: map)
        precondition(reason == nil, "the table of places \(reason ?? "")")
        let noter = PlaceNoter(table, sources)
        for start in stride(from: 0, to: map.chunks.count, by: StoreCore.batch) {
            core.table.withLock { table in
                var batch = noter.begin(table)
                for index in start..<min(start + StoreCore.batch, map.chunks.count) {
                    if let handle = table.find(map.chunks[index]) { batch.note(index, for: handle) }
                }
                batch.finish()
            }
        }
    }

    /// The places known of the chunks of a map; nil where a chunk is only local or not known at all.
    ///
    /// For maps that are derived from lazily pulled ones, and for pushes of what the other side lacks.
    /// - Parameter source: of several places of a chunk one in a pack that this source has is taken.
    public func places(for map: BlockMap, preferring source: SourceID? = nil) -> PlaceTable {
        var collector = PlaceCollector(source)
        for start in stride(from: 0, to: map.chunks.count, by: StoreCore.batch) {
            core.table.withLock { table in
                for chunk in map.chunks[start..<min(start + StoreCore.batch, map.chunks.count)] {
                    collector.add(table.find(chunk), table.places)
                }
            }
        }
        return collector.finish()
    }

    /// Who was said to have a pack, in the order in which they were named.
    public func sources(of pack: PackInfo) -> [SourceID] {
        core.table.withLock { $0.places.sources(of: pack) }
    }

    // MARK: Single chunks

    /// True when the chunk's bytes are here; takes no lock.
    public func isPresent(_ handle: ChunkHandle) -> Bool {
        core.slots[handle.index].isPresent
    }

    /// The name of a chunk on which somebody holds a reference.
    public func descriptor(of handle: ChunkHandle) -> ChunkDescriptor {
        core.table.withLock { $0.descriptor(of: handle.index) }
    }

    /// Where to fetch a chunk from first; nil when no place is known.
    public func place(of handle: ChunkHandle) -> ChunkPlace? {
        core.table.withLock { $0.places.place(of: handle.index) }
    }

    /// Every place known of a chunk, the one to try first in front; one chunk has four at most.
    public func places(of handle: ChunkHandle) -> [ChunkPlace] {
        core.table.withLock { $0.places.places(of: handle.index) }
    }

    /// What it takes to fetch chunks, asked for many at once: their names and the place to try first.
    public func placed(_ handles: [ChunkHandle]) -> [(chunk: ChunkDescriptor, place: ChunkPlace?)] {
        core.table.withLock { table in
            handles.map { (table.descriptor(of: $0.index), table.places.place(of: $0.index)) }
        }
    }

    /// Puts a place behind the others of its chunk, after it gave wrong bytes or none.
    public func demote(_ place: ChunkPlace, of handle: ChunkHandle) {
        core.table.withLock { $0.places.demote(place, of: handle.index) }
    }

    /// Keeps chunks known and their handles valid until the object goes away, though every map of them may
    /// go.
    /// - Precondition: somebody else holds a reference on each of them now.
    public func hold(_ handles: [ChunkHandle]) -> ChunkHold {
        let indexes = handles.map(\.index)
        core.table.withLock { table in
            for handle in indexes { table.retain(handle) }
        }
        return ChunkHold(indexes, core)
    }
}

/// References on chunks that go away with the object.
public final class ChunkHold: Sendable {
    private let handles: [UInt32]
    private let core: StoreCore

    init(_ handles: [UInt32], _ core: StoreCore) {
        self.handles = handles
        self.core = core
    }

    deinit {
        let (core, handles) = (core, handles)
        core.reclaimer.addDrop { core.drop(handles, .none) }
    }
}
