// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks

/// The file form of a table of places, whole or against another one; `docs/formats.md` gives it byte by byte.
extension PlaceTable {
    static let magic = Array("SLKPLAC\n".utf8)
    static let version: UInt16 = 1
    static let headerBytes = 72
    static let packBytes = Digest.byteCount + 8

    /// What a run of consecutive chunks has in common; packs follow from `firstPack` on.
    enum RunKind {
        static let local: UInt64 = 0
        static let asInBase: UInt64 = 1
        static let firstPack: UInt64 = 2
    }

    /// The bytes of the whole table; equal tables have equal bytes.
    public func encode() -> [UInt8] {
        encode(base: nil) { _ in false }
    }

    /// The bytes of what a table for a map has that another table, for another map, does not tell.
    ///
    /// - Precondition: the tables are those of the maps.
    public func difference(of map: BlockMap, from base: PlaceTable, of baseMap: BlockMap) -> [UInt8] {
        precondition(count == map.chunks.count && base.count == baseMap.chunks.count, "tables fit their maps")
        let inherited = InheritedPlaces(base, baseMap, packs)
        return encode(base: base.digest) { index in
            guard let place = places[index] else { return false }
            return inherited.place(of: map.chunks[index]) == place
        }
    }

    /// SHA-256 of the whole table's bytes: by this a difference names its base.
    public var digest: Digest { Digest(hashing: encode()) }

    private func encode(base: Digest?, isAsInBase: (Int) -> Bool) -> [UInt8] {
        var runs = RunWriter(packs: packs.count)
        var index = 0
        while index < places.count {
            let start = index
            if isAsInBase(start) {
                while index < places.count, isAsInBase(index) { index += 1 }
                runs.add(index - start, RunKind.asInBase)
            } else if let first = places[start] {
                var end = first.offset
                while index < places.count, let place = places[index], place.pack == first.pack,
                    place.offset == end, index == start || !isAsInBase(index)
                {
                    runs.lengths.append(UInt16(place.byteCount - 1))
                    end += UInt64(place.byteCount)
                    index += 1
                }
                runs.add(index - start, in: first.pack, from: first.offset, to: end)
            } else {
                while index < places.count, places[index] == nil { index += 1 }
                runs.add(index - start, RunKind.local)
            }
        }
        return assemble(base, runs)
    }

    private struct RunWriter {
        var bytes = ByteWriter()
        var count: UInt32 = 0
        var lengths: [UInt16] = []
        /// Where the last run of each pack ended.
        private var ends: [UInt64]

        init(packs: Int) {
            ends = Array(repeating: UInt64(Pack.headerBytes), count: packs)
        }

        mutating func add(_ chunks: Int, _ kind: UInt64) {
            bytes.putVarint(UInt64(chunks))
            bytes.putVarint(kind)
            count += 1
        }

        mutating func add(_ chunks: Int, in pack: Int, from start: UInt64, to end: UInt64) {
            add(chunks, RunKind.firstPack + UInt64(pack))
            bytes.putSignedVarint(Int64(start) - Int64(ends[pack]))
            ends[pack] = end
        }
    }

    private func assemble(_ base: Digest?, _ runs: RunWriter) -> [UInt8] {
        let (lengths, runBytes) = (runs.lengths, runs.bytes.bytes)
        var writer = ByteWriter(
            capacity: Self.headerBytes + packs.count * Self.packBytes + runBytes.count + lengths.count * 2 + 4
        )
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(UInt16(base == nil ? 0 : 1))
        writer.put(UInt32(places.count))
        writer.put(UInt32(packs.count))
        writer.put(UInt32(bootPack.map { $0 + 1 } ?? 0))
        writer.put(UInt32(bootChunks))
        writer.put(runs.count)
        writer.put(UInt32(lengths.count))
        writer.put(UInt32(0))
        writer.put(base?.bytes ?? [UInt8](repeating: 0, count: Digest.byteCount))
        for pack in packs {
            writer.put(pack.digest)
            writer.put(pack.sizeBytes)
        }
        // Low bytes look random, high ones do not: apart, a compressor makes more of them.
        for length in lengths { writer.put(UInt8(truncatingIfNeeded: length)) }
        for length in lengths { writer.put(UInt8(length >> 8)) }
        writer.put(runBytes)
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// Reads a whole table and checks it, also against the map that it is for.
    ///
    /// Memory is bounded by the lengths of the input and of the map.
    /// - Throws: `badPlaces`.
    public init(decoding bytes: [UInt8], for map: BlockMap) throws(ChunkStoreError) {
        self = try PlaceTableDecoder.decode(bytes, for: map, base: nil)
    }

    /// Reads a difference against another table, that of `baseMap`, and checks it.
    /// - Throws: `badPlaces`, also when it was made against another table.
    public init(
        decodingDifference bytes: [UInt8], for map: BlockMap, from base: PlaceTable, of baseMap: BlockMap
    ) throws(ChunkStoreError) {
        if let reason = base.complaint(as: baseMap) { throw .badPlaces(reason: "of the base \(reason)") }
        self = try PlaceTableDecoder.decode(bytes, for: map, base: (base, baseMap))
    }
}

/// Places of another table in terms of a table's packs.
struct InheritedPlaces {
    private let base: PlaceTable
    private var indexes: [ChunkDescriptor: Int] = [:]
    /// For each pack of the base its index here; nil: it is not among them.
    private let packs: [Int?]

    init(_ base: PlaceTable, _ baseMap: BlockMap, _ packs: [PackInfo]) {
        self.base = base
        let numbers = Dictionary(packs.enumerated().map { ($1, $0) }) { first, _ in first }
        self.packs = base.packs.map { numbers[$0] }
        indexes.reserveCapacity(baseMap.chunks.count)
        for (index, chunk) in baseMap.chunks.enumerated() { indexes[chunk] = index }
    }

    func place(of chunk: ChunkDescriptor) -> Place? {
        guard let index = indexes[chunk], let place = base.places[index], let pack = packs[place.pack] else {
            return nil
        }
        return Place(pack: pack, offset: place.offset, byteCount: place.byteCount, coding: place.coding)
    }
}
