// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Gathers consecutive metadata blocks into chunks and notes in the block map where they lie.
struct MetadataSink {
    private let store: ([UInt8]) throws -> ChunkDescriptor?
    private(set) var map: BlockMapBuilder
    private var pending: [UInt8] = []
    private var start: UInt32 = 0

    init(blockCount: UInt32, store: @escaping ([UInt8]) throws -> ChunkDescriptor?) {
        self.store = store
        map = BlockMapBuilder(blockCount: blockCount)
        pending.reserveCapacity(Block.maximumChunkBytes)
    }

    /// Takes one block.
    ///
    /// A block of zeros becomes a hole; one that follows the last joins its chunk.
    mutating func put(_ bytes: [UInt8], at block: UInt32) throws {
        precondition(bytes.count == Block.bytes, "metadata comes in whole blocks")
        if bytes.isAllZeros { return try flush() }
        let follows = start + UInt32(pending.count / Block.bytes) == block
        if !pending.isEmpty, !follows || pending.count == Block.maximumChunkBytes { try flush() }
        if pending.isEmpty { start = block }
        pending.append(contentsOf: bytes)
    }

    /// Ends the chunk, so that metadata of one kind is not mixed with another's: equal parts are stored once.
    mutating func flush() throws {
        if pending.isEmpty { return }
        if let chunk = try store(pending) {
            map.add(start: start, chunk: chunk, count: UInt8(pending.count / Block.bytes))
        }
        pending.removeAll(keepingCapacity: true)
    }

    /// Maps blocks of a file to part of its chunk.
    mutating func map(start: UInt32, chunk: ChunkDescriptor, offset: UInt8, count: UInt8) {
        map.add(start: start, chunk: chunk, offset: offset, count: count)
    }
}
