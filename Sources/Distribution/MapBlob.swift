// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

/// A map blob before compression: a block map and the places of its chunks, both whole or both differences.
///
/// `docs/formats.md` has the bytes.
struct MapBlob: Sendable, Equatable {
    let isDifference: Bool
    /// A block map's canonical bytes, or its difference to the map of the blob before.
    let map: [UInt8]
    /// A table of places, or its difference to that of the blob before.
    let places: [UInt8]

    /// Differences that may follow one another after a whole map.
    static let maximumChain = 8
    /// Plain bytes of a blob at most: room for the map of a volume of 1 TiB in full chunks.
    static let maximumPlainBytes = 768 << 20

    private static let magic = Array("SLKIMAP\n".utf8)
    private static let version: UInt16 = 1
    private static let differenceFlag: UInt16 = 1
    private static let headerBytes = 32

    init(isDifference: Bool, map: [UInt8], places: [UInt8]) {
        self.isDifference = isDifference
        self.map = map
        self.places = places
    }

    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.headerBytes + map.count + places.count)
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(isDifference ? Self.differenceFlag : 0)
        writer.put(UInt32(0))
        writer.put(UInt64(map.count))
        writer.put(UInt64(places.count))
        writer.put(map)
        writer.put(places)
        return writer.bytes
    }

    /// Takes the parts of a blob apart; what is in them is checked by who decodes them.
    init(decoding bytes: [UInt8]) throws(MapBlobError) {
        guard bytes.starts(with: Self.magic) else { throw MapBlobError("it is not a map blob") }
        let parsed: Result<MapBlob, MapBlobError>
        do throws(TruncatedBytes) { parsed = try Self.parse(bytes) } catch {
            throw MapBlobError("it ends early, at byte \(error.offset)")
        }
        self = try parsed.get()
    }

    private static func parse(_ bytes: [UInt8]) throws(TruncatedBytes) -> Result<MapBlob, MapBlobError> {
        func invalid(_ reason: String) -> Result<MapBlob, MapBlobError> { .failure(MapBlobError(reason)) }
        var reader = ByteReader(bytes, at: magic.count)
        let version = try reader.take(UInt16.self)
        if version != Self.version {
            return invalid("version \(version) of a map blob is newer than this program; upgrade slacker")
        }
        let flags = try reader.take(UInt16.self)
        if try reader.take(UInt32.self) != 0 || flags & ~differenceFlag != 0 {
            return invalid("a map blob has unknown flags")
        }
        let mapBytes = try reader.take(UInt64.self)
        let placeBytes = try reader.take(UInt64.self)
        let (sum, overflow) = mapBytes.addingReportingOverflow(placeBytes)
        if overflow || sum != UInt64(reader.remaining) {
            return invalid("a map blob has \(reader.remaining) bytes where its header says otherwise")
        }
        let map = try reader.take(count: Int(mapBytes))
        let places = try reader.take(count: Int(placeBytes))
        return .success(MapBlob(isDifference: flags == differenceFlag, map: map, places: places))
    }
}

/// Why a manifest or a map blob is not one of a block image.
struct MapBlobError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
