// SPDX-License-Identifier: Apache-2.0

import Blocks
import ChunkStore

/// Chunks that the other side has, and where they lie there.
struct KnownPlaces: Sendable {
    private(set) var packs: [PackInfo] = []
    private var numbers: [PackInfo: Int] = [:]
    private var places: [ChunkDescriptor: Place] = [:]

    /// Where a chunk lies; the pack is an index of `packs`.
    subscript(chunk: ChunkDescriptor) -> Place? { places[chunk] }

    /// The number of a pack, which is given one when it is new.
    mutating func intern(_ pack: PackInfo) -> Int {
        if let number = numbers[pack] { return number }
        numbers[pack] = packs.count
        packs.append(pack)
        return packs.count - 1
    }

    func contains(_ pack: PackInfo) -> Bool { numbers[pack] != nil }

    /// Adds what a table says of a map's chunks, in packs that pass the test; what is known already stays.
    mutating func add(_ table: PlaceTable, of chunks: [ChunkDescriptor], where isThere: (PackInfo) -> Bool) {
        precondition(table.count == chunks.count)
        let indexes = table.packs.map { isThere($0) ? intern($0) : nil }
        for (chunk, place) in zip(chunks, table.places) {
            guard let place, let index = indexes[place.pack], places[chunk] == nil else { continue }
            places[chunk] = Place(
                pack: index, offset: place.offset, byteCount: place.byteCount, coding: place.coding)
        }
    }

    /// Adds the chunks of a pack that was made; what was known of them before is replaced.
    mutating func add(_ pack: PackInfo, _ directory: PackDirectory) {
        let index = intern(pack)
        for entry in directory.entries {
            places[entry.chunk] = Place(
                pack: index, offset: entry.offset, byteCount: UInt32(entry.byteCount), coding: entry.coding)
        }
    }

    mutating func forget(_ chunk: ChunkDescriptor) {
        places[chunk] = nil
    }

    /// The table of some chunks: with the packs that they need and the boot pack, that one first.
    func table(of chunks: [ChunkDescriptor], boot: BootPack?) -> PlaceTable {
        var order: [PackInfo] = []
        var renumbered = [Int?](repeating: nil, count: packs.count)
        func number(_ pack: Int) -> Int {
            if let number = renumbered[pack] { return number }
            renumbered[pack] = order.count
            order.append(packs[pack])
            return order.count - 1
        }
        if let index = boot.flatMap({ numbers[$0.pack] }) { _ = number(index) }
        let placed = chunks.map { chunk in
            places[chunk].map {
                Place(
                    pack: number($0.pack), offset: $0.offset, byteCount: $0.byteCount, coding: $0.coding)
            }
        }
        let hasBoot = boot.map { contains($0.pack) } ?? false
        return PlaceTable(
            packs: order, places: placed, bootPack: hasBoot ? 0 : nil,
            bootChunks: hasBoot ? boot?.chunks ?? 0 : 0)
    }
}

/// The pack that is streamed before anybody asks, and how many of its chunks from the front on.
struct BootPack: Sendable, Equatable {
    let pack: PackInfo
    let chunks: Int
}
