// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// Names and numbers of the pack format; `docs/formats.md` gives it byte by byte.
public enum Pack {
    static let magic = Array("SLKPACK\n".utf8)
    static let endMagic = Array("SLKPEND\n".utf8)
    static let version: UInt16 = 1
    static let headerBytes = 16
    static let entryBytes = 48
    /// Bytes at the end of a pack that say where its directory is.
    public static let footerBytes = 64
    /// Chunks in one pack at most; bounds what a reader allocates.
    public static let maximumChunks = 1 << 20
    /// The zstd level that is used when nobody asks for another one.
    public static let defaultLevel: Int32 = 3

    static var header: [UInt8] {
        var writer = ByteWriter(capacity: headerBytes)
        writer.put(magic)
        writer.put(version)
        writer.pad(to: headerBytes)
        return writer.bytes
    }
}

/// Which chunks a pack holds and where: enough to plan range requests.
public struct PackDirectory: Sendable, Equatable {
    /// How a chunk's bytes stand in the pack.
    public enum Coding: UInt8, Sendable {
        /// As they are, since they do not shrink.
        case plain = 0
        /// One zstd frame.
        case zstd = 1
    }

    public struct Entry: Sendable, Equatable {
        public let chunk: ChunkDescriptor
        public let coding: Coding
        /// First byte in the pack.
        public let offset: UInt64
        /// Bytes in the pack: fewer than the plain ones for zstd, as many for plain.
        public let byteCount: Int
    }

    /// In the order of their bytes, which follow one another without a gap.
    public let entries: [Entry]

    /// First byte behind the last chunk, where the directory begins.
    var endOffset: UInt64 {
        entries.last.map { $0.offset + UInt64($0.byteCount) } ?? UInt64(Pack.headerBytes)
    }

    init(entries: [Entry]) {
        self.entries = entries
    }

    /// The bytes of the directory, as they stand in a pack and may be carried apart from it.
    public func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: entries.count * Pack.entryBytes)
        for entry in entries {
            writer.put(entry.chunk.digest)
            writer.put(entry.offset)
            writer.put(UInt32(entry.byteCount))
            writer.put(entry.chunk.blockCount)
            writer.put(entry.coding.rawValue)
            writer.put(UInt16(0))
        }
        return writer.bytes
    }

    /// Reads a directory and checks that its chunks fill the pack from the header on, in order and each once.
    /// - Throws: `badPack`, naming `name`.
    public init(decoding bytes: [UInt8], name: String) throws(ChunkStoreError) {
        func refuse(_ reason: String) -> ChunkStoreError { .badPack(name: name, reason: reason) }
        let count = bytes.count / Pack.entryBytes
        if bytes.count % Pack.entryBytes != 0 || count > Pack.maximumChunks {
            throw refuse("its directory has \(bytes.count) bytes")
        }
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var seen: Set<Digest> = []
        var expected = UInt64(Pack.headerBytes)
        for index in 0..<count {
            guard let entry = Self.entry(bytes, at: index * Pack.entryBytes) else {
                throw refuse("entry \(index) of its directory is invalid")
            }
            if entry.offset != expected { throw refuse("entry \(index) begins at byte \(entry.offset)") }
            if !seen.insert(entry.chunk.digest).inserted {
                throw refuse("entry \(index) names a chunk again")
            }
            expected += UInt64(entry.byteCount)
            entries.append(entry)
        }
        self.entries = entries
    }

    private static func entry(_ bytes: [UInt8], at offset: Int) -> Entry? {
        var reader = ByteReader(bytes, at: offset)
        guard let digest = try? reader.takeDigest(),
            let start = try? reader.take(UInt64.self), let length = try? reader.take(UInt32.self),
            let blocks = try? reader.take(UInt8.self), let code = try? reader.take(UInt8.self),
            let zero = try? reader.take(UInt16.self), let coding = Coding(rawValue: code), zero == 0,
            (1...UInt8(Block.maximumPerChunk)).contains(blocks)
        else { return nil }
        let plain = Int(blocks) * Block.bytes
        let fits = coding == .plain ? Int(length) == plain : length > 0 && Int(length) < plain
        if !fits { return nil }
        return Entry(
            chunk: ChunkDescriptor(digest: digest, blockCount: blocks), coding: coding, offset: start,
            byteCount: Int(length))
    }
}

extension PackDirectory.Entry {
    /// The plain bytes of the chunk, checked against its digest, from its bytes in a pack.
    /// - Throws: `badPack`, naming `name`.
    public func decode(_ stored: [UInt8], name: String) throws(ChunkStoreError) -> [UInt8] {
        func refuse(_ reason: String) -> ChunkStoreError {
            .badPack(name: name, reason: "chunk \(chunk.digest) at byte \(offset) \(reason)")
        }
        if stored.count != byteCount { throw refuse("is cut off") }
        let plainBytes = Int(chunk.blockCount) * Block.bytes
        let plain: [UInt8]
        switch coding {
        case .plain: plain = stored
        case .zstd:
            guard let bytes = Zstd.decompress(stored, byteCount: plainBytes) else {
                throw refuse("does not decompress to \(plainBytes) bytes")
            }
            plain = bytes
        }
        if Digest(hashing: plain) != chunk.digest { throw refuse("does not match its digest") }
        return plain
    }
}
