// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// Bytes that can be read at any place: a file, an object of a backend, or ranges of a remote blob.
public protocol ByteSource: Sendable {
    var sizeBytes: UInt64 { get }
    /// Reads exactly so many bytes, all of which lie within the size.
    func read(at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8]
}

/// Reads chunks out of a pack and believes nothing that it has not checked.
public final class PackReader: Sendable {
    /// What errors call the pack.
    public let name: String
    public let directory: PackDirectory
    private let source: any ByteSource
    private let places: [Digest: Int]

    /// Opens a pack, whose directory is read from its end.
    public init(_ source: any ByteSource, name: String) throws(ChunkStoreError) {
        directory = try Self.readDirectory(source, name)
        self.source = source
        self.name = name
        places = Self.index(directory)
    }

    /// Opens a pack whose directory came by another way.
    public init(_ source: any ByteSource, name: String, directory: PackDirectory) throws(ChunkStoreError) {
        if directory.endOffset > source.sizeBytes {
            throw .badPack(
                name: name, reason: "it has \(source.sizeBytes) bytes, fewer than its directory says")
        }
        self.directory = directory
        self.source = source
        self.name = name
        places = Self.index(directory)
    }

    private static func index(_ directory: PackDirectory) -> [Digest: Int] {
        Dictionary(directory.entries.enumerated().map { ($1.chunk.digest, $0) }) { first, _ in first }
    }

    private static func readDirectory(
        _ source: any ByteSource, _ name: String
    ) throws(ChunkStoreError) -> PackDirectory {
        func refuse(_ reason: String) -> ChunkStoreError { .badPack(name: name, reason: reason) }
        let size = source.sizeBytes
        if size < UInt64(Pack.headerBytes + Pack.footerBytes) { throw refuse("it has only \(size) bytes") }
        let header = try source.read(at: 0, count: Pack.headerBytes)
        let footer = try source.read(at: size - UInt64(Pack.footerBytes), count: Pack.footerBytes)
        guard header.starts(with: Pack.magic), footer.suffix(8) == Pack.endMagic[...] else {
            throw refuse("it is not a pack, or cut off")
        }
        var reader = ByteReader(footer)
        guard let offset = try? reader.take(UInt64.self), let length = try? reader.take(UInt64.self),
            let digest = try? reader.take(count: Digest.byteCount),
            let version = try? reader.take(UInt16.self),
            let zero = try? reader.take(UInt16.self), let checksum = try? reader.take(UInt32.self),
            checksum == CRC32C.checksum(footer.span.extracting(0..<52)), zero == 0
        else { throw refuse("its footer is damaged") }
        if version != Pack.version {
            throw refuse("version \(version) is newer than this program; upgrade slacker")
        }
        if header != Pack.header { throw refuse("its header is damaged") }
        let (end, overflow) = offset.addingReportingOverflow(length)
        if overflow || end != size - UInt64(Pack.footerBytes)
            || length > UInt64(Pack.maximumChunks * Pack.entryBytes)
        {
            throw refuse("its directory lies outside of it")
        }
        let bytes = try source.read(at: offset, count: Int(length))
        if Digest(hashing: bytes).bytes != digest { throw refuse("its directory is damaged") }
        let directory = try PackDirectory(decoding: bytes, name: name)
        if directory.endOffset != offset { throw refuse("its chunks do not end where its directory begins") }
        return directory
    }

    /// The plain bytes of a chunk, checked against its digest; nil when the pack does not hold it.
    public func read(_ chunk: ChunkDescriptor) throws(ChunkStoreError) -> [UInt8]? {
        guard let place = places[chunk.digest], directory.entries[place].chunk == chunk else { return nil }
        return try read(directory.entries[place])
    }

    /// The plain bytes of an entry of this pack, checked against its digest.
    public func read(_ entry: PackDirectory.Entry) throws(ChunkStoreError) -> [UInt8] {
        try entry.decode(try source.read(at: entry.offset, count: entry.byteCount), name: name)
    }
}
