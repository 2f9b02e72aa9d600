// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Testing

@testable import ChunkStore

/// `descriptor`, for where a method of that name hides it.
func named(_ bytes: [UInt8]) -> ChunkDescriptor { descriptor(bytes) }

extension PlaceTable {
    /// Places for all chunks of a map, one behind the other and uncompressed, in a pack that nobody has.
    static func madeUp(for map: BlockMap, pack seed: UInt64 = 1, bootChunks: Int = 0) -> PlaceTable {
        var places: [Place?] = []
        var offset: UInt64 = 16
        for chunk in map.chunks {
            let count = UInt32(chunk.blockCount) * 4096
            places.append(Place(pack: 0, offset: offset, byteCount: count, coding: .plain))
            offset += UInt64(count)
        }
        let pack = PackInfo(digest: Digest(words: (seed, 0, 0, 0)), sizeBytes: offset + 1000)
        return PlaceTable(
            packs: [pack], places: places, bootPack: bootChunks > 0 ? 0 : nil, bootChunks: bootChunks)
    }
}

extension ChunkStore {
    /// Attaches a map of these contents, of which nothing needs to be here.
    func attachLazily(_ contents: [[UInt8]], pack: UInt64 = 1) throws -> ResidentMap {
        let map = BlockMap.of(contents.map(named))
        return try attach(
            map, places: .madeUp(for: map, pack: pack), sources: [try sources.intern("test:\(pack)")])
    }

    func enter(_ handle: ChunkHandle, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try enter(handle, plain: $0) }
    }

    func segments(_ map: ResidentMap, _ range: BlockRange? = nil) -> [Segment] {
        var segments: [Segment] = []
        map.appendSegments(for: range ?? BlockRange(start: 0, count: map.blockCount), to: &segments)
        return segments
    }
}

extension ChunkEntries {
    func enter(_ handle: ChunkHandle, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try enter(handle, plain: $0) }
    }
}
