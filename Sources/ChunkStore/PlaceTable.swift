// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// The packs of an image, and the place of each chunk of its map.
public struct PlaceTable: Sendable, Equatable {
    public let packs: [PackInfo]
    /// For each chunk of the map, in the map's order; nil: it is in no pack, so only local.
    public let places: [Place?]
    /// The pack that is laid out in the order in which containers touch its chunks; nil: there is none.
    public let bootPack: Int?
    /// How many chunks of the boot pack, counted from its front, are worth streaming before anybody asks.
    public let bootChunks: Int

    /// - Precondition: places name packs of the table and lie within them.
    public init(packs: [PackInfo], places: [Place?], bootPack: Int? = nil, bootChunks: Int = 0) {
        self.init(unchecked: packs, places, bootPack, bootChunks)
        let reason = complaint
        precondition(reason == nil, "a table of places \(reason ?? "")")
    }

    init(unchecked packs: [PackInfo], _ places: [Place?], _ bootPack: Int?, _ bootChunks: Int) {
        self.packs = packs
        self.places = places
        self.bootPack = bootPack
        self.bootChunks = bootPack == nil ? 0 : bootChunks
    }

    /// A table that knows no place of any chunk of the map.
    public init(localOnly map: BlockMap) {
        self.init(unchecked: [], Array(repeating: nil, count: map.chunks.count), nil, 0)
    }

    /// Chunks of the map.
    public var count: Int { places.count }

    public subscript(chunk: Int) -> Place? { places[chunk] }

    /// Bytes of packs that the chunks take, each chunk once.
    public var packedBytes: UInt64 { places.reduce(0) { $0 + UInt64($1?.byteCount ?? 0) } }

    /// Indexes in the map of the chunks that the boot pack begins with, in the order of their bytes.
    public var bootOrder: [Int] {
        guard let bootPack else { return [] }
        let held = places.indices.filter { places[$0]?.pack == bootPack }
        let sorted = held.sorted { (places[$0]?.offset ?? 0) < (places[$1]?.offset ?? 0) }
        return Array(sorted.prefix(bootChunks))
    }

    /// The byte behind the last chunk of the boot pack that is worth streaming; nil: there is none.
    public var bootEnd: UInt64? {
        guard let last = bootOrder.last, let place = places[last] else { return nil }
        return place.offset + UInt64(place.byteCount)
    }

    /// What is wrong with the table by itself; nil: nothing.
    var complaint: String? {
        if let pack = packs.firstIndex(where: { $0.sizeBytes > PackInfo.maximumBytes }) {
            return "names a pack of \(packs[pack].sizeBytes) bytes"
        }
        if let bootPack, !packs.indices.contains(bootPack) { return "names boot pack \(bootPack)" }
        if bootChunks < 0 { return "names \(bootChunks) boot chunks" }
        for (index, place) in places.enumerated() {
            guard let place else { continue }
            if !packs.indices.contains(place.pack) { return "names pack \(place.pack) for chunk \(index)" }
            let (end, overflow) = place.offset.addingReportingOverflow(UInt64(place.byteCount))
            if overflow || end > packs[place.pack].sizeBytes || place.byteCount == 0
                || place.byteCount > UInt32(Block.maximumChunkBytes)
            {
                return "lets chunk \(index) leave its pack"
            }
        }
        return nil
    }

    /// What is wrong with the table as that of a map; nil: nothing.
    func complaint(as map: BlockMap) -> String? {
        if places.count != map.chunks.count {
            return "has places for \(places.count) chunks where the map has \(map.chunks.count)"
        }
        for (index, place) in places.enumerated() {
            if let place, !place.fits(map.chunks[index]) {
                return "gives chunk \(index) \(place.byteCount) bytes"
            }
        }
        return nil
    }
}
