// SPDX-License-Identifier: Apache-2.0

public import Base

/// A block map with its canonical bytes and their digest, for those who need all three.
///
/// The map of an image with a million chunks takes a tenth of a second to encode and to hash: once is enough.
public struct EncodedBlockMap: Sendable {
    public let map: BlockMap
    /// The canonical bytes of the map.
    public let bytes: [UInt8]
    /// SHA-256 of the bytes: the identity of a snapshot's content.
    public let digest: Digest

    public init(_ map: BlockMap) {
        self.map = map
        bytes = map.encode()
        digest = Digest(hashing: bytes)
    }

    /// Reads a map and checks every invariant, as `BlockMap.init(decoding:)` does.
    public init(decoding bytes: [UInt8]) throws(BlockMapError) {
        map = try BlockMap(decoding: bytes)
        // What passes the checks is canonical: equal maps have equal bytes.
        self.bytes = bytes
        digest = Digest(hashing: bytes)
    }
}
