// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks

/// Where packs can be fetched from, as a small number; `SourceRegistry` knows its URI.
public struct SourceID: Hashable, Sendable {
    public let index: UInt16

    init(index: UInt16) {
        self.index = index
    }
}

/// The sources that a store has heard of: URI to number and back, for as long as the store is open.
public final class SourceRegistry: Sendable {
    private struct State {
        var uris: [String] = []
        var ids: [String: UInt16] = [:]
    }

    private let state = Lock(State())

    init() {}

    /// The number of a source, which is given one when it is new.
    /// - Throws: `tooManySources` after 65,536 different ones.
    public func intern(_ uri: String) throws(ChunkStoreError) -> SourceID {
        try state.withLock { (state: inout State) throws(ChunkStoreError) in
            if let index = state.ids[uri] { return SourceID(index: index) }
            guard let index = UInt16(exactly: state.uris.count) else {
                throw .tooManySources(limit: Int(UInt16.max) + 1)
            }
            state.uris.append(uri)
            state.ids[uri] = index
            return SourceID(index: index)
        }
    }

    public func intern(_ uris: [String]) throws(ChunkStoreError) -> [SourceID] {
        var ids: [SourceID] = []
        for uri in uris { ids.append(try intern(uri)) }
        return ids
    }

    /// The URI of a number that this registry gave out.
    public func uri(of id: SourceID) -> String {
        state.withLock { Int(id.index) < $0.uris.count ? $0.uris[Int(id.index)] : "" }
    }
}

/// The name and the length of a pack.
public struct PackInfo: Hashable, Sendable {
    /// The longest pack that can be spoken of: 1 TiB.
    public static let maximumBytes: UInt64 = 1 << 40

    public let digest: Digest
    public let sizeBytes: UInt64

    public init(digest: Digest, sizeBytes: UInt64) {
        self.digest = digest
        self.sizeBytes = sizeBytes
    }

    /// The name of the pack in a backend.
    public var name: ObjectName { ObjectName(.pack, digest) }
}

/// Where a chunk lies in one of the packs of a `PlaceTable`.
public struct Place: Hashable, Sendable {
    /// Index of the pack in the table.
    public let pack: Int
    /// First byte in the pack.
    public let offset: UInt64
    /// Bytes in the pack: fewer than the plain ones for zstd, as many for plain.
    public let byteCount: UInt32
    public let coding: PackDirectory.Coding

    public init(pack: Int, offset: UInt64, byteCount: UInt32, coding: PackDirectory.Coding) {
        self.pack = pack
        self.offset = offset
        self.byteCount = byteCount
        self.coding = coding
    }

    /// True when the bytes could be those of the chunk, as far as their number tells.
    func fits(_ chunk: ChunkDescriptor) -> Bool {
        let plainBytes = UInt32(chunk.blockCount) * UInt32(Block.bytes)
        return coding == .plain ? byteCount == plainBytes : byteCount > 0 && byteCount < plainBytes
    }
}

/// Where a chunk can be fetched from: bytes of a pack, and who has that pack.
public struct ChunkPlace: Hashable, Sendable {
    public let pack: PackInfo
    /// First byte in the pack.
    public let offset: UInt64
    /// Bytes in the pack.
    public let byteCount: Int
    public let coding: PackDirectory.Coding
    /// Those that were said to have the pack, in the order in which they were named.
    public let sources: [SourceID]

    /// The bytes of the pack that hold the chunk.
    public var range: Range<UInt64> { offset..<offset + UInt64(byteCount) }

    /// The plain bytes of the chunk, checked against its digest, from the bytes of `range`.
    /// - Throws: `badPack`.
    public func decode(_ stored: [UInt8], as chunk: ChunkDescriptor) throws(ChunkStoreError) -> [UInt8] {
        let entry = PackDirectory.Entry(chunk: chunk, coding: coding, offset: offset, byteCount: byteCount)
        return try entry.decode(stored, name: pack.name.description)
    }
}
