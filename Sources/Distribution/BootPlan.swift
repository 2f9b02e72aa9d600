// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Volumes

/// The map as it is pushed: what containers read first is in chunks of its own, and their order is known.
struct BootPlan: Sendable {
    /// The map to push; the image's own where nothing is known of its starts.
    let map: BlockMap
    /// Chunks of `map` in the order of the boot pack; none without a profile.
    let order: [ChunkDescriptor]
    /// Where the bytes of chunks come from that the store does not have by themselves.
    let cuts: [ChunkDescriptor: ChunkReading.Cut]

    /// The image's map as it is.
    init(_ map: BlockMap) {
        self.map = map
        order = []
        cuts = [:]
    }

    /// In the order of a boot pack that the image has elsewhere: what that holds was cut when it was made.
    init(_ map: BlockMap, places: PlaceTable) {
        precondition(places.count == map.chunks.count, "the table is one of the map")
        self.map = map
        order = places.bootOrder.map { map.chunks[$0] }
        cuts = [:]
    }

    /// Cuts what was touched out of the chunks of a map; those of which only a part was touched are read.
    init(
        _ map: BlockMap, touched profile: BootProfile, reading: ChunkReading
    ) throws(DistributionError) {
        let named = Dictionary(map.chunks.map { ($0.digest, $0) }) { first, _ in first }
        let touched = Set(profile.touches.map(\.chunk)).compactMap { named[$0] }
        try reading.prepare(touched[...])
        let touches = profile.touches.map { Touch(chunk: $0.chunk, first: $0.first, count: $0.count) }
        let cut = try map.cutting(touches) { (chunk) throws(DistributionError) in
            try reading.bytes(of: chunk)
        }
        self.map = cut.map
        order = cut.pieces.map(\.chunk)
        let parts = cut.pieces.filter { $0.chunk != $0.source }.map { piece in
            (piece.chunk, ChunkReading.Cut(whole: piece.source, first: piece.first))
        }
        cuts = Dictionary(parts) { first, _ in first }
    }
}
