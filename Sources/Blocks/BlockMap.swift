// SPDX-License-Identifier: Apache-2.0

public import Base

/// The content of a block map's chunk: its name and its length.
public struct ChunkDescriptor: Hashable, Sendable {
    /// SHA-256 of the chunk's plain bytes, all of its blocks whole.
    public let digest: Digest
    /// 1 to 16.
    public let blockCount: UInt8

    public init(digest: Digest, blockCount: UInt8) {
        precondition((1...UInt8(Block.maximumPerChunk)).contains(blockCount), "a chunk has 1 to 16 blocks")
        self.digest = digest
        self.blockCount = blockCount
    }

    /// As for digests: see there.
    @inlinable
    public func _rawHashValue(seed: Int) -> Int {
        digest._rawHashValue(seed: seed &+ Int(blockCount))
    }
}

/// Consecutive blocks of a volume that lie one after the other in one chunk.
public struct Extent: Hashable, Sendable {
    /// The first block in the volume.
    public let start: UInt32
    /// Index of the chunk in the table of the map.
    public let chunk: UInt32
    /// 1 to 16.
    public let count: UInt8
    /// The first block within the chunk.
    public let offset: UInt8

    public init(start: UInt32, count: UInt8, chunk: UInt32, offset: UInt8) {
        self.start = start
        self.chunk = chunk
        self.count = count
        self.offset = offset
    }

    public var range: BlockRange { BlockRange(start: start, count: UInt32(count)) }

    /// True when the other extent goes on where this one ends, in the volume and in the chunk.
    func isContinued(by next: Extent) -> Bool {
        chunk == next.chunk && UInt64(start) + UInt64(count) == UInt64(next.start)
            && Int(offset) + Int(count) == Int(next.offset)
    }
}

/// What every block of a volume holds: extents sorted by block, each into a chunk; the rest is zeros.
///
/// Immutable. Extents never overlap, never leave the volume and never leave their chunk; chunks stand in the
/// order of their first extent, each once, and none without an extent. So equal content has one encoding.
public struct BlockMap: Sendable, Equatable {
    /// The length of the volume in blocks.
    public let blockCount: UInt32
    public let chunks: [ChunkDescriptor]
    public let extents: [Extent]

    /// Memberwise; the callers in this module have checked the invariants.
    init(blockCount: UInt32, chunks: [ChunkDescriptor], extents: [Extent]) {
        self.blockCount = blockCount
        self.chunks = chunks
        self.extents = extents
    }

    /// A volume of zeros.
    public init(zeros blockCount: UInt32) {
        self.init(blockCount: blockCount, chunks: [], extents: [])
    }

    public var sizeBytes: UInt64 { UInt64(blockCount) * UInt64(Block.bytes) }

    /// Blocks that are not holes.
    public var mappedBlockCount: UInt64 { extents.reduce(0) { $0 + UInt64($1.count) } }

    /// Index of the first extent that ends after the block; `extents.count` when there is none.
    public func firstExtent(endingAfter block: UInt32) -> Int {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].start + UInt32(extents[middle].count) > block {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    /// Calls `body` for consecutive pieces that cover the range in order: part of one extent, or a hole
    /// (nil).
    @inlinable
    public func forEachPiece<E: Error>(
        in range: BlockRange, _ body: (_ piece: BlockRange, _ extent: Extent?) throws(E) -> Void
    ) throws(E) {
        var block = range.start
        var index = firstExtent(endingAfter: range.start)
        while block < range.end {
            guard index < extents.count, extents[index].start < range.end else {
                return try body(BlockRange(start: block, count: range.end - block), nil)
            }
            let extent = extents[index]
            if extent.start > block {
                try body(BlockRange(start: block, count: extent.start - block), nil)
                block = extent.start
            }
            let end = min(extent.range.end, range.end)
            let trimmed = Extent(
                start: block, count: UInt8(end - block), chunk: extent.chunk,
                offset: extent.offset + UInt8(block - extent.start))
            try body(BlockRange(start: block, count: end - block), trimmed)
            block = end
            index += 1
        }
    }
}
