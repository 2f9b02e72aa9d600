// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Reads a table of places, field by field, and believes nothing.
struct PlaceTableDecoder {
    private let bytes: [UInt8]
    private let map: BlockMap
    private var reader: ByteReader

    private struct Header {
        var isDifference = false
        var packs = 0
        var bootPack: Int?
        var bootChunks = 0
        var runs = 0
        var lengths = 0
        var base: [UInt8] = []
    }

    static func decode(
        _ bytes: [UInt8], for map: BlockMap, base: (table: PlaceTable, map: BlockMap)?
    ) throws(ChunkStoreError) -> PlaceTable {
        guard bytes.count >= PlaceTable.headerBytes + 4, bytes.starts(with: PlaceTable.magic) else {
            throw .badPlaces(reason: "is not one: wrong magic number, or cut off")
        }
        var decoder = PlaceTableDecoder(bytes, map)
        do {
            return try decoder.table(base)
        } catch let error as TruncatedBytes {
            throw .badPlaces(reason: "ends early, at byte \(error.offset)")
        } catch let error as ChunkStoreError {
            throw error
        } catch {
            throw .badPlaces(reason: "\(error)")
        }
    }

    private init(_ bytes: [UInt8], _ map: BlockMap) {
        self.bytes = bytes
        self.map = map
        reader = ByteReader(bytes, at: PlaceTable.magic.count)
    }

    private func refuse(_ reason: String) -> ChunkStoreError { .badPlaces(reason: reason) }

    private mutating func table(_ base: (table: PlaceTable, map: BlockMap)?) throws -> PlaceTable {
        let header = try header()
        if header.isDifference != (base != nil) {
            throw refuse(header.isDifference ? "is a difference" : "is whole, not a difference")
        }
        if let base, base.table.digest.bytes != header.base { throw refuse("is against another one") }
        let packs = try packs(header.packs)
        let lengths = try lengths(header.lengths)
        let inherited = base.map { InheritedPlaces($0.table, $0.map, packs) }
        let places = try places(header, lengths, inherited)
        if reader.remaining != 4 { throw refuse("has \(reader.remaining - 4) bytes too many") }
        if try reader.take(UInt32.self) != CRC32C.checksum(bytes.span.extracting(0..<bytes.count - 4)) {
            throw refuse("is damaged: its checksum does not match")
        }
        let table = PlaceTable(unchecked: packs, places, header.bootPack, header.bootChunks)
        if let reason = table.complaint ?? table.complaint(as: map) { throw refuse(reason) }
        return table
    }

    private mutating func header() throws -> Header {
        var header = Header()
        let version = try reader.take(UInt16.self)
        if version != PlaceTable.version {
            throw refuse("has version \(version), newer than this program; upgrade slacker")
        }
        let flags = try reader.take(UInt16.self)
        header.isDifference = flags == 1
        let chunks = try reader.take(UInt32.self)
        header.packs = Int(try reader.take(UInt32.self))
        let bootPack = Int(try reader.take(UInt32.self))
        header.bootPack = bootPack == 0 ? nil : bootPack - 1
        header.bootChunks = Int(try reader.take(UInt32.self))
        header.runs = Int(try reader.take(UInt32.self))
        header.lengths = Int(try reader.take(UInt32.self))
        let zero = try reader.take(UInt32.self)
        header.base = try reader.take(count: Digest.byteCount)
        let lacksBase = header.base.allSatisfy { $0 == 0 }
        if flags > 1 || zero != 0 || header.isDifference == lacksBase
            || (bootPack == 0 && header.bootChunks > 0)
        {
            throw refuse("has an invalid header")
        }
        if Int(chunks) != map.chunks.count {
            throw refuse("is for \(chunks) chunks where the map has \(map.chunks.count)")
        }
        return header
    }

    private mutating func packs(_ count: Int) throws -> [PackInfo] {
        if count > reader.remaining / PlaceTable.packBytes { throw TruncatedBytes(offset: bytes.count) }
        var packs: [PackInfo] = []
        packs.reserveCapacity(count)
        for index in 0..<count {
            let digest = try reader.takeDigest()
            packs.append(PackInfo(digest: digest, sizeBytes: try reader.take(UInt64.self)))
            if packs[index].sizeBytes > PackInfo.maximumBytes {
                throw refuse("names a pack of \(packs[index].sizeBytes) bytes")
            }
        }
        if Set(packs).count != count { throw refuse("names a pack twice") }
        return packs
    }

    private mutating func lengths(_ count: Int) throws -> [UInt32] {
        if count > map.chunks.count { throw refuse("has \(count) places for \(map.chunks.count) chunks") }
        let low = try reader.take(count: count)
        let high = try reader.take(count: count)
        return (0..<count).map { UInt32(high[$0]) << 8 + UInt32(low[$0]) + 1 }
    }

    private mutating func places(
        _ header: Header, _ lengths: [UInt32], _ inherited: InheritedPlaces?
    ) throws -> [Place?] {
        var places: [Place?] = []
        places.reserveCapacity(map.chunks.count)
        var used = 0
        var ends = [UInt64](repeating: UInt64(Pack.headerBytes), count: header.packs)
        for _ in 0..<header.runs {
            let count = try varint(atMost: UInt64(map.chunks.count - places.count))
            if count == 0 { throw refuse("has a run of no chunk") }
            switch try varint(atMost: PlaceTable.RunKind.firstPack + UInt64(header.packs)) {
            case PlaceTable.RunKind.local:
                places.append(contentsOf: repeatElement(nil, count: Int(count)))
            case PlaceTable.RunKind.asInBase:
                for chunk in map.chunks[places.count..<places.count + Int(count)] {
                    guard let place = inherited?.place(of: chunk) else {
                        throw refuse("takes a place from a base that does not have it")
                    }
                    places.append(place)
                }
            case let kind:
                let pack = Int(kind - PlaceTable.RunKind.firstPack)
                if pack == header.packs || Int(count) > lengths.count - used {
                    throw refuse("has an invalid run")
                }
                ends[pack] = try moved(ends[pack])
                for length in lengths[used..<used + Int(count)] {
                    places.append(place(pack, ends[pack], length, map.chunks[places.count]))
                    ends[pack] += UInt64(length)
                }
                used += Int(count)
            }
        }
        if places.count != map.chunks.count || used != lengths.count {
            throw refuse("ends before its chunks do")
        }
        return places
    }

    private func place(_ pack: Int, _ offset: UInt64, _ length: UInt32, _ chunk: ChunkDescriptor) -> Place {
        let isPlain = length == UInt32(chunk.blockCount) * UInt32(Block.bytes)
        return Place(pack: pack, offset: offset, byteCount: length, coding: isPlain ? .plain : .zstd)
    }

    private mutating func varint(atMost limit: UInt64) throws -> UInt64 {
        guard let value = try reader.takeVarint(), value <= limit else {
            throw refuse("has an invalid number before byte \(reader.offset)")
        }
        return value
    }

    /// The place in a pack that a run begins at, told by its distance from where the pack's last run ended.
    private mutating func moved(_ end: UInt64) throws -> UInt64 {
        guard let step = try reader.takeSignedVarint() else {
            throw refuse("has an invalid number before byte \(reader.offset)")
        }
        let (offset, overflow) = Int64(clamping: end).addingReportingOverflow(step)
        if overflow || offset < 0 || UInt64(offset) > PackInfo.maximumBytes {
            throw refuse("lets a chunk leave its pack")
        }
        return UInt64(offset)
    }
}
