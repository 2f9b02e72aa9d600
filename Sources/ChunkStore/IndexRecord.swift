// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// One fixed-size record of the index log; `docs/formats.md` gives it byte by byte.
struct IndexRecord: Equatable {
    enum Kind: UInt8 {
        case add = 1
        case free = 2
    }

    static let byteCount = 48

    var kind: Kind
    var digest: Digest
    /// The number of the arena, as in its file name.
    var arena: UInt32
    var block: UInt32
    var blockCount: UInt8

    /// Appends the record to a buffer of several.
    /// - Parameter seed: the checksum of the log's header, so that a record counts in its own log only.
    func append(to bytes: inout [UInt8], seed: UInt32) {
        let start = bytes.count
        for word in [digest.words.0, digest.words.1, digest.words.2, digest.words.3] {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
        withUnsafeBytes(of: arena.littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: block.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: [blockCount, kind.rawValue, 0, 0])
        let checksum = ~CRC32C.update(~seed, bytes.span.extracting(start..<bytes.count))
        withUnsafeBytes(of: checksum.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Reads the record at the start of 48 bytes; nil when it is torn, damaged or makes no sense.
    init?(_ bytes: UnsafeRawBufferPointer, seed: UInt32) {
        precondition(bytes.count == Self.byteCount, "a record has 48 bytes")
        func word<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
        }
        let body = Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[..<(Self.byteCount - 4)]))
        let checksum = ~CRC32C.update(~seed, body)
        guard checksum == UInt32(littleEndian: word(44, UInt32.self)), let kind = Kind(rawValue: bytes[41]),
            (1...UInt8(Block.maximumPerChunk)).contains(bytes[40])
        else { return nil }
        self.kind = kind
        digest = Digest(
            words: (
                UInt64(bigEndian: word(0, UInt64.self)), UInt64(bigEndian: word(8, UInt64.self)),
                UInt64(bigEndian: word(16, UInt64.self)), UInt64(bigEndian: word(24, UInt64.self))
            ))
        arena = UInt32(littleEndian: word(32, UInt32.self))
        block = UInt32(littleEndian: word(36, UInt32.self))
        blockCount = bytes[40]
    }

    init(kind: Kind, digest: Digest, arena: UInt32, block: UInt32, blockCount: UInt8) {
        self.kind = kind
        self.digest = digest
        self.arena = arena
        self.block = block
        self.blockCount = blockCount
    }
}

/// The first 64 bytes of the index log.
struct IndexHeader: Equatable {
    static let byteCount = 64
    private static let magic = Array("SLKINDX\n".utf8)
    private static let version: UInt16 = 1

    /// Random, made with the store: tells stores apart.
    var identity: [UInt8]
    /// Grows with each compaction.
    var generation: UInt32
    /// No arena of this or a higher number had been made when the log was written anew.
    var nextArena: UInt32

    /// A header for a store that is being made.
    static func fresh() -> IndexHeader {
        IndexHeader(identity: (0..<16).map { _ in UInt8.random(in: 0...255) }, generation: 1, nextArena: 0)
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(UInt16(IndexRecord.byteCount))
        writer.put(UInt32(Block.bytes))
        writer.put(identity)
        writer.put(generation)
        writer.put(nextArena)
        writer.pad(to: Self.byteCount - 4)
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// The checksum of the header, with which those of its records begin.
    var seed: UInt32 { CRC32C.checksum(encode()) }

    /// Reads a header.
    /// - Throws: `unreadableIndex`, naming `path`.
    static func decode(_ bytes: [UInt8], path: String) throws(ChunkStoreError) -> IndexHeader {
        func refuse(_ reason: String) -> ChunkStoreError { .unreadableIndex(path: path, reason: reason) }
        guard bytes.count >= byteCount, bytes.starts(with: magic) else { throw refuse("wrong magic number") }
        var reader = ByteReader(bytes, at: magic.count)
        do {
            let version = try reader.take(UInt16.self)
            if version != Self.version {
                throw refuse("version \(version) is newer than this program; upgrade slacker")
            }
            let recordBytes = try reader.take(UInt16.self)
            let blockBytes = try reader.take(UInt32.self)
            let header = IndexHeader(
                identity: try reader.take(count: 16), generation: try reader.take(UInt32.self),
                nextArena: try reader.take(UInt32.self))
            let matches = Array(bytes[..<byteCount]) == header.encode()
            guard matches, recordBytes == IndexRecord.byteCount, blockBytes == Block.bytes else {
                throw refuse("its header is damaged")
            }
            return header
        } catch let error as ChunkStoreError {
            throw error
        } catch {
            throw refuse("its header is cut off")
        }
    }
}
