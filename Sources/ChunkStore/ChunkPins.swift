// SPDX-License-Identifier: Apache-2.0

import Base

/// Which references of a holder are pins: those on chunks that the holder could not have fetched again.
///
/// A chunk with a pin is never evicted. Every other reference comes with a durable place of the chunk, so that
/// it may become absent and is fetched when it is next read.
enum ChunkPins: Sendable {
    case all
    /// These of them; the list is long only where an image is local in good part.
    case some([UInt32])

    static let none = ChunkPins.some([])

    func among(_ handles: [UInt32]) -> [UInt32] {
        switch self {
        case .all: handles
        case .some(let pinned): pinned
        }
    }
}

extension StoreCore {
    /// Gives pins back, as those of references that are dropped or that need none any more.
    func unpin(_ handles: [UInt32]) {
        for start in stride(from: 0, to: handles.count, by: Self.batch) {
            table.withLock { table in
                for handle in handles[start..<min(start + Self.batch, handles.count)] { table.unpin(handle) }
            }
        }
    }
}

extension ResidentMap {
    /// Lets go of the pins on chunks that can be fetched again.
    ///
    /// Call it when the table of places has been made durable together with the sources: from then on the
    /// chunks may be evicted.
    /// - Parameter sources: those that a later start will know of the map; a pack that none of them has
    ///   does not count.
    /// - Precondition: the table is one of this map.
    public func releasePins(coveredBy table: PlaceTable, sources: [SourceID]) {
        let handles = chunkHandles()
        precondition(table.count == handles.count, "the table of places is one of another map")
        let known = Set(sources)
        let isKnown = table.packs.map { !known.isDisjoint(with: store.sources(of: $0)) }
        var covered: Set<UInt32> = []
        for (handle, place) in zip(handles, table.places) {
            if let place, isKnown[place.pack] { covered.insert(handle) }
        }
        let released = pins.withLock { pins -> [UInt32] in
            let pinned = pins.among(handles)
            pins = .some(pinned.filter { !covered.contains($0) })
            return pinned.filter(covered.contains)
        }
        store.core.unpin(released)
    }

    /// True when there are chunks that may be absent, now or later.
    public var needsPlaces: Bool {
        let handles = chunkHandles()
        return pins.withLock { $0 }.among(handles).count < handles.count
    }

    /// Bytes of the map's chunks that cannot be fetched again, and so are not evicted.
    public var pinnedBytes: UInt64 {
        let slots = store.core.slots
        return pins.withLock { $0 }.among(chunkHandles()).reduce(0) { $0 + UInt64(slots[$1].byteCount) }
    }
}
