// SPDX-License-Identifier: Apache-2.0

import Blocks
import ChunkStore
import Ext4
import Flatten
import Volumes

/// The blocks of an image for reading its files; absent chunks are fetched when they are needed.
final class OrdinaryBlocks: BlockReader {
    let map: BlockMap
    private let reading: ChunkReading
    /// The chunks that were read last: neighbours share one.
    private var kept: [ChunkDescriptor: [UInt8]] = [:]

    private static let keptLimit = 64

    init(_ image: String, _ resident: ResidentMap, _ clients: DistributionClients) {
        map = resident.map
        reading = ChunkReading(
            image: image, store: clients.store.chunks, engine: clients.engine, cuts: [:], holder: resident)
    }

    func read(block: UInt32) throws -> [UInt8] {
        try read(blocks: BlockRange(start: block, count: 1))
    }

    func read(blocks range: BlockRange) throws -> [UInt8] {
        var pieces: [(blocks: BlockRange, extent: Extent?)] = []
        map.forEachPiece(in: range) { pieces.append(($0, $1)) }
        let chunks = pieces.compactMap { piece in piece.extent.map { map.chunks[Int($0.chunk)] } }
        // All that are absent at once: they mostly lie side by side in a pack.
        try reading.prepare(chunks.filter { kept[$0] == nil }[...])
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(range.count) * Block.bytes)
        for piece in pieces {
            guard let extent = piece.extent else {
                bytes += [UInt8](repeating: 0, count: Int(piece.blocks.count) * Block.bytes)
                continue
            }
            let whole = try chunk(map.chunks[Int(extent.chunk)])
            let start = Int(extent.offset) * Block.bytes
            bytes += whole[start..<start + Int(extent.count) * Block.bytes]
        }
        return bytes
    }

    private func chunk(_ chunk: ChunkDescriptor) throws -> [UInt8] {
        if let bytes = kept[chunk] { return bytes }
        let bytes = try reading.bytes(of: chunk)
        if kept.count >= Self.keptLimit { kept.removeAll(keepingCapacity: true) }
        kept[chunk] = bytes
        return bytes
    }
}
