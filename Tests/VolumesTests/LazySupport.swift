// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import TestSupport

@testable import Volumes

/// An image that lies in one pack of plain chunks, 16 blocks each, of which the store has none.
struct RemoteImage {
    let content: [UInt8]
    let map: BlockMap
    let places: PlaceTable

    init(_ content: [UInt8]) {
        self.content = content
        var builder = BlockMapBuilder(blockCount: UInt32(content.count / Block.bytes))
        var offsets: [Digest: UInt64] = [:]
        for start in stride(from: 0, to: content.count, by: Block.maximumChunkBytes) {
            let piece = Array(content[start..<min(start + Block.maximumChunkBytes, content.count)])
            let chunk = ChunkDescriptor(
                digest: Digest(hashing: piece), blockCount: UInt8(piece.count / Block.bytes))
            offsets[chunk.digest] = offsets[chunk.digest] ?? UInt64(start)
            builder.add(start: UInt32(start / Block.bytes), chunk: chunk, count: chunk.blockCount)
        }
        let map = builder.finish()
        self.map = map
        let pack = PackInfo(digest: Digest(hashing: content), sizeBytes: UInt64(content.count))
        places = PlaceTable(
            packs: [pack],
            places: map.chunks.map { chunk in
                Place(
                    pack: 0, offset: offsets[chunk.digest] ?? 0,
                    byteCount: UInt32(chunk.blockCount) * UInt32(Block.bytes), coding: .plain)
            })
    }

    static func random(blocks: Int, seed: UInt64 = 1) -> RemoteImage {
        var random = SplitMix(seed: seed)
        return RemoteImage(random.bytes(blocks * Block.bytes))
    }

    /// Brings the chunks of a range, as a fetch engine does.
    func deliver(_ range: BlockRange, to store: VolumeStore, image: String) throws {
        let map = try store.residentMap(ofImage: image)
        for handle in map.absentHandles(in: range) {
            let chunk = store.chunks.descriptor(of: handle)
            guard let place = store.chunks.place(of: handle) else { continue }
            let bytes = Array(content[Int(place.range.lowerBound)..<Int(place.range.upperBound)])
            try bytes.withUnsafeBytes { try store.chunks.enter(handle, plain: $0) }
            precondition(Digest(hashing: bytes) == chunk.digest, "the pack holds the chunk")
        }
        store.chunks.synchronizeFetched()
    }
}

extension VolumeStore {
    @discardableResult
    func addImage(
        _ name: String, _ remote: RemoteImage, sources: [String] = ["dir:/there"], replacing: Bool = false
    ) throws -> ImageRecord {
        try addImage(
            name: name, map: EncodedBlockMap(remote.map), places: remote.places, sources: sources,
            configuration: Array("{}".utf8), source: "test", session: nil, replacing: replacing)
    }
}
