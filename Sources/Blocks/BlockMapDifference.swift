// SPDX-License-Identifier: Apache-2.0

public import Base

/// What one block map has that another one has not, in few bytes; `docs/formats.md` gives them one by one.
extension BlockMap {
    /// The bytes that make this map of `base`.
    ///
    /// A chunk that is new costs 33 bytes, and each stretch of changed blocks some six more.
    public func difference(from base: BlockMap) -> [UInt8] {
        var writer = DifferenceWriter(base)
        for range in changedRanges(from: base) {
            writer.add(range)
            forEachPiece(in: range) { _, extent in
                if let extent { writer.add(extent, chunks[Int(extent.chunk)]) }
            }
        }
        return writer.finish(blockCount: blockCount, base: base.digest)
    }

    /// Ranges of this map, sorted and apart, whose blocks the other map does not have in the same place.
    func changedRanges(from base: BlockMap) -> [BlockRange] {
        let numbers = Dictionary(base.chunks.enumerated().map { ($1, UInt32($0)) }) { first, _ in first }
        let counterparts = chunks.map { numbers[$0] }
        var changed: [BlockRange] = []
        forEachPiece(in: BlockRange(start: 0, count: blockCount)) { piece, extent in
            base.forEachPiece(in: piece) { part, old in
                if !Self.isSame(part, extent, counterparts, old) { changed.appendJoined(part) }
            }
        }
        return changed
    }

    /// - Parameter counterparts: for each chunk of the new map its index in the old one.
    private static func isSame(
        _ part: BlockRange, _ new: Extent?, _ counterparts: [UInt32?], _ old: Extent?
    ) -> Bool {
        guard let new, let old else { return new == nil && old == nil }
        return counterparts[Int(new.chunk)] == old.chunk
            && UInt32(new.offset) + (part.start - new.start) == UInt32(old.offset) + (part.start - old.start)
    }

    /// The map that `difference(from:)` of this one was asked of.
    ///
    /// Checks everything; memory is bounded by this map and the length of the input.
    /// - Throws: `wrongBase` when the difference was made against another map.
    public func applying(difference bytes: [UInt8]) throws(BlockMapError) -> BlockMap {
        var decoder = try DifferenceDecoder(bytes)
        if decoder.header.base != digest { throw .wrongBase(decoder.header.base) }
        let (ranges, pieces) = try decoder.body(self)
        return replacing(blockCount: decoder.header.blockCount, ranges, with: pieces)
    }

    /// The digest of the map that a difference was made against.
    public static func base(ofDifference bytes: [UInt8]) throws(BlockMapError) -> Digest {
        try DifferenceDecoder(bytes).header.base
    }
}

extension [BlockRange] {
    /// Appends a range that begins at or behind the end of the last one; one that touches it becomes part of
    /// it.
    fileprivate mutating func appendJoined(_ range: BlockRange) {
        guard let last, last.end == range.start else { return append(range) }
        self[count - 1] = BlockRange(start: last.start, count: last.count + range.count)
    }
}

/// Numbers of the format.
enum DifferenceFormat {
    static let magic = Array("SLKBDIF\n".utf8)
    static let version: UInt16 = 1
    static let headerBytes = 64
    static let chunkBytes = Digest.byteCount + 1
}

/// Collects the changes in order.
private struct DifferenceWriter {
    private let baseNumbers: [ChunkDescriptor: UInt32]
    private var newNumbers: [ChunkDescriptor: UInt32] = [:]
    private var newChunks: [ChunkDescriptor] = []
    private var ranges = ByteWriter()
    private var pieces = ByteWriter()
    private var rangeCount: UInt32 = 0
    private var pieceCount: UInt32 = 0
    private var rangeEnd: UInt32 = 0
    private var pieceEnd: UInt32 = 0
    private var lastChunk: Int64 = 0

    init(_ base: BlockMap) {
        baseNumbers = Dictionary(base.chunks.enumerated().map { ($1, UInt32($0)) }) { first, _ in first }
    }

    mutating func add(_ range: BlockRange) {
        ranges.putVarint(UInt64(range.start - rangeEnd))
        ranges.putVarint(UInt64(range.count))
        rangeEnd = range.end
        rangeCount += 1
    }

    /// Chunks of the base have the numbers that they have there, new ones the numbers behind those.
    mutating func add(_ extent: Extent, _ chunk: ChunkDescriptor) {
        let number = baseNumbers[chunk] ?? newNumbers[chunk] ?? UInt32(baseNumbers.count + newChunks.count)
        if Int(number) == baseNumbers.count + newChunks.count {
            newNumbers[chunk] = number
            newChunks.append(chunk)
        }
        pieces.putVarint(UInt64(extent.start - pieceEnd))
        pieces.putSignedVarint(Int64(number) - lastChunk)
        pieces.put(extent.offset << 4 | (extent.count - 1))
        pieceEnd = extent.range.end
        lastChunk = Int64(number)
        pieceCount += 1
    }

    func finish(blockCount: UInt32, base: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: DifferenceFormat.headerBytes + newChunks.count * 40)
        writer.put(DifferenceFormat.magic)
        writer.put(DifferenceFormat.version)
        writer.put(UInt16(Block.bytes))
        writer.put(blockCount)
        writer.put(base.bytes)
        writer.put(UInt32(newChunks.count))
        writer.put(rangeCount)
        writer.put(pieceCount)
        writer.pad(to: DifferenceFormat.headerBytes)
        for chunk in newChunks {
            writer.put(chunk.digest)
            writer.put(chunk.blockCount)
        }
        writer.put(ranges.bytes)
        writer.put(pieces.bytes)
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }
}
