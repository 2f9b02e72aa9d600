// SPDX-License-Identifier: Apache-2.0

import Base

/// Reads the difference of two block maps and believes nothing.
struct DifferenceDecoder {
    typealias Piece = (start: UInt32, chunk: ChunkDescriptor, offset: UInt8, count: UInt8)

    struct Header {
        let base: Digest
        /// Length of the map that the difference makes.
        let blockCount: UInt32
        let chunks: Int
        let ranges: Int
        let pieces: Int
    }

    let header: Header
    private let bytes: [UInt8]
    private var reader: ByteReader

    /// Reads the header and checks the checksum of the whole.
    init(_ bytes: [UInt8]) throws(BlockMapError) {
        guard bytes.starts(with: DifferenceFormat.magic) else { throw .notADifference }
        var reader = ByteReader(bytes, at: DifferenceFormat.magic.count)
        header = try Self.checked { try Self.header(&reader) }
        if reader.remaining < 4 { throw .truncated(atByte: bytes.count) }
        var end = ByteReader(bytes, at: bytes.count - 4)
        let checksum = try? end.take(UInt32.self)
        if checksum != CRC32C.checksum(bytes.span.extracting(0..<bytes.count - 4)) { throw .checksumMismatch }
        self.bytes = bytes
        self.reader = reader
    }

    /// Gives errors of any origin the module's type.
    private static func checked<T>(_ body: () throws -> T) throws(BlockMapError) -> T {
        do {
            return try body()
        } catch let error as TruncatedBytes {
            throw .truncated(atByte: error.offset)
        } catch let error as BlockMapError {
            throw error
        } catch {
            throw .invalid("\(error)")
        }
    }

    private static func header(_ reader: inout ByteReader) throws -> Header {
        let version = try reader.take(UInt16.self)
        if version != DifferenceFormat.version { throw BlockMapError.unknownVersion(version) }
        let blockBytes = try reader.take(UInt16.self)
        let blockCount = try reader.take(UInt32.self)
        let base = try reader.takeDigest()
        let chunks = Int(try reader.take(UInt32.self))
        let ranges = Int(try reader.take(UInt32.self))
        let pieces = Int(try reader.take(UInt32.self))
        let rest = try reader.take(count: DifferenceFormat.headerBytes - reader.offset)
        guard blockBytes == Block.bytes, rest.allSatisfy({ $0 == 0 }) else {
            throw BlockMapError.invalid("the header of a difference")
        }
        return Header(base: base, blockCount: blockCount, chunks: chunks, ranges: ranges, pieces: pieces)
    }

    /// The ranges that are replaced, and the pieces that replace them, checked.
    mutating func body(_ base: BlockMap) throws(BlockMapError) -> ([BlockRange], [Piece]) {
        var copy = self
        return try Self.checked { try copy.uncheckedBody(base) }
    }

    private mutating func uncheckedBody(_ base: BlockMap) throws -> ([BlockRange], [Piece]) {
        // A range has two bytes at least, a piece three.
        let least = header.chunks * DifferenceFormat.chunkBytes + header.ranges * 2 + header.pieces * 3 + 4
        if least > reader.remaining { throw TruncatedBytes(offset: bytes.count) }
        let chunks = try newChunks()
        let ranges = try ranges()
        let pieces = try pieces(ranges, base.chunks, chunks)
        if reader.remaining != 4 {
            throw BlockMapError.invalid("\(reader.remaining - 4) bytes follow its end")
        }
        return (ranges, pieces)
    }

    private mutating func newChunks() throws -> [ChunkDescriptor] {
        var chunks: [ChunkDescriptor] = []
        chunks.reserveCapacity(header.chunks)
        for index in 0..<header.chunks {
            let digest = try reader.takeDigest()
            let blocks = try reader.take(UInt8.self)
            guard (1...UInt8(Block.maximumPerChunk)).contains(blocks) else {
                throw BlockMapError.invalid("new chunk \(index) has \(blocks) blocks")
            }
            chunks.append(ChunkDescriptor(digest: digest, blockCount: blocks))
        }
        return chunks
    }

    private mutating func ranges() throws -> [BlockRange] {
        var ranges: [BlockRange] = []
        ranges.reserveCapacity(header.ranges)
        var end: UInt32 = 0
        for index in 0..<header.ranges {
            let gap = try varint(atMost: header.blockCount - end)
            let count = try varint(atMost: header.blockCount - end - gap)
            if count == 0 || (gap == 0 && index > 0) {
                throw BlockMapError.invalid("range \(index) is empty, or should be one with the range before")
            }
            ranges.append(BlockRange(start: end + gap, count: count))
            end += gap + count
        }
        return ranges
    }

    private mutating func varint(atMost limit: UInt32) throws -> UInt32 {
        guard let value = try reader.takeVarint(), value <= UInt64(limit) else {
            throw BlockMapError.invalid("a number before byte \(reader.offset)")
        }
        return UInt32(value)
    }

    private mutating func pieces(
        _ ranges: [BlockRange], _ old: [ChunkDescriptor], _ new: [ChunkDescriptor]
    ) throws -> [Piece] {
        var pieces: [Piece] = []
        pieces.reserveCapacity(header.pieces)
        var range = 0
        var end: UInt32 = 0
        var number: Int64 = 0
        for index in 0..<header.pieces {
            let start = end + (try varint(atMost: header.blockCount - end))
            let (next, overflow) = number.addingReportingOverflow(try reader.takeSignedVarint() ?? .max)
            if overflow || next < 0 || next >= old.count + new.count {
                throw BlockMapError.invalid("piece \(index) names a chunk that is not there")
            }
            number = next
            let chunk = next < old.count ? old[Int(next)] : new[Int(next) - old.count]
            let span = try reader.take(UInt8.self)
            let (offset, count) = (span >> 4, (span & 15) + 1)
            if offset + count > chunk.blockCount {
                throw BlockMapError.invalid("piece \(index) leaves its chunk")
            }
            while range < ranges.count, ranges[range].end <= start { range += 1 }
            guard range < ranges.count, ranges[range].start <= start,
                UInt32(count) <= ranges[range].end - start
            else { throw BlockMapError.invalid("piece \(index) lies outside of what is replaced") }
            pieces.append((start: start, chunk: chunk, offset: offset, count: count))
            end = start + UInt32(count)
        }
        return pieces
    }
}
