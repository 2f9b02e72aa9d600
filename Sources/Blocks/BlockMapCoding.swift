// SPDX-License-Identifier: Apache-2.0

public import Base

/// Why bytes are not a block map.
public enum BlockMapError: Error, Equatable, Sendable, CustomStringConvertible {
    case notABlockMap
    case notADifference
    /// A difference was made against the map of this digest, not against the one that it was applied to.
    case wrongBase(Digest)
    case unknownVersion(UInt16)
    case truncated(atByte: Int)
    case checksumMismatch
    case invalid(String)

    public var description: String {
        switch self {
        case .notABlockMap: "not a block map: wrong magic number"
        case .notADifference: "not a difference of block maps: wrong magic number"
        case .wrongBase(let digest): "the difference needs block map \(digest), not this one; fetch it first"
        case .unknownVersion(let version):
            "block map version \(version) is newer than this program; upgrade slacker"
        case .truncated(let offset): "block map ends early, at byte \(offset)"
        case .checksumMismatch: "block map is damaged: its checksum does not match"
        case .invalid(let what): "block map is invalid: \(what)"
        }
    }
}

/// The file form of a block map; `docs/formats.md` gives it byte by byte.
extension BlockMap {
    private static let magic = Array("SLKBMAP\n".utf8)
    private static let version: UInt16 = 1
    private static let headerBytes = 32
    private static let chunkBytes = Digest.byteCount + 1
    private static let extentBytes = 10

    /// The canonical bytes of this map.
    ///
    /// Equal maps have equal bytes.
    public func encode() -> [UInt8] {
        let capacity =
            Self.headerBytes + chunks.count * Self.chunkBytes + extents.count * Self.extentBytes + 4
        var writer = ByteWriter(capacity: capacity)
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(UInt16(Block.bytes))
        writer.put(blockCount)
        writer.put(UInt32(chunks.count))
        writer.put(UInt32(extents.count))
        writer.pad(to: Self.headerBytes)
        for chunk in chunks {
            writer.put(chunk.digest)
            writer.put(chunk.blockCount)
        }
        for extent in extents {
            writer.put(extent.start)
            writer.put(extent.chunk)
            writer.put(extent.count)
            writer.put(extent.offset)
        }
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// SHA-256 of the canonical bytes: the identity of a snapshot's content.
    ///
    /// Encodes the map: an `EncodedBlockMap` keeps what was made once.
    public var digest: Digest { Digest(hashing: encode()) }

    /// Reads a map and checks every invariant.
    ///
    /// Memory is bounded by the length of the input.
    public init(decoding bytes: [UInt8]) throws(BlockMapError) {
        guard bytes.starts(with: Self.magic) else { throw .notABlockMap }
        let checksum: UInt32
        let parsed: BlockMap
        var reader = ByteReader(bytes, at: Self.magic.count)
        do {
            let version = try reader.take(UInt16.self)
            if version != Self.version { throw BlockMapError.unknownVersion(version) }
            parsed = try Self.body(&reader, inputBytes: bytes.count)
            checksum = try reader.take(UInt32.self)
        } catch let error as TruncatedBytes {
            throw .truncated(atByte: error.offset)
        } catch let error as BlockMapError {
            throw error
        } catch {
            throw .invalid("\(error)")
        }
        if reader.remaining > 0 { throw .invalid("\(reader.remaining) bytes follow its end") }
        if checksum != CRC32C.checksum(bytes.span.extracting(0..<bytes.count - 4)) { throw .checksumMismatch }
        try parsed.validate()
        self = parsed
    }

    private static func body(_ reader: inout ByteReader, inputBytes: Int) throws -> BlockMap {
        let blockBytes = try reader.take(UInt16.self)
        if blockBytes != Block.bytes { throw BlockMapError.invalid("blocks of \(blockBytes) bytes") }
        let blockCount = try reader.take(UInt32.self)
        let chunkCount = Int(try reader.take(UInt32.self))
        let extentCount = Int(try reader.take(UInt32.self))
        let reserved = try reader.take(count: headerBytes - reader.offset)
        if reserved.contains(where: { $0 != 0 }) {
            throw BlockMapError.invalid("reserved bytes are not zero")
        }
        if chunkCount * chunkBytes + extentCount * extentBytes + 4 > reader.remaining {
            throw TruncatedBytes(offset: inputBytes)
        }
        var chunks: [ChunkDescriptor] = []
        chunks.reserveCapacity(chunkCount)
        for index in 0..<chunkCount {
            let digest = try reader.takeDigest()
            let blocks = try reader.take(UInt8.self)
            guard (1...UInt8(Block.maximumPerChunk)).contains(blocks) else {
                throw BlockMapError.invalid("chunk \(index) has \(blocks) blocks")
            }
            chunks.append(ChunkDescriptor(digest: digest, blockCount: blocks))
        }
        var extents: [Extent] = []
        extents.reserveCapacity(extentCount)
        for _ in 0..<extentCount {
            let start = try reader.take(UInt32.self)
            let chunk = try reader.take(UInt32.self)
            let count = try reader.take(UInt8.self)
            extents.append(
                Extent(start: start, count: count, chunk: chunk, offset: try reader.take(UInt8.self)))
        }
        return BlockMap(blockCount: blockCount, chunks: chunks, extents: extents)
    }

    /// Checks what the type promises; `decode` is the only way for outside bytes to become a map.
    private func validate() throws(BlockMapError) {
        var end: UInt64 = 0
        var chunksSeen: UInt32 = 0
        for (index, extent) in extents.enumerated() {
            if UInt64(extent.start) < end { throw .invalid("extent \(index) overlaps or is out of order") }
            end = UInt64(extent.start) + UInt64(extent.count)
            if extent.count == 0 || end > UInt64(blockCount) {
                throw .invalid("extent \(index) leaves the volume")
            }
            if extent.chunk > chunksSeen || Int(extent.chunk) >= chunks.count {
                throw .invalid("extent \(index) names chunk \(extent.chunk) out of order")
            }
            if extent.chunk == chunksSeen { chunksSeen += 1 }
            if index > 0, extents[index - 1].isContinued(by: extent) {
                throw .invalid("extent \(index) should be one with the extent before it")
            }
            if Int(extent.offset) + Int(extent.count) > Int(chunks[Int(extent.chunk)].blockCount) {
                throw .invalid("extent \(index) leaves its chunk")
            }
        }
        if Int(chunksSeen) != chunks.count {
            throw .invalid("\(chunks.count - Int(chunksSeen)) chunks have no extent")
        }
        if Set(chunks).count != chunks.count { throw .invalid("a chunk stands in the table twice") }
    }
}
