// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@Suite struct BlockMapCodingTests {
    private func small() -> BlockMap {
        var builder = BlockMapBuilder(blockCount: 100)
        builder.add(start: 3, chunk: chunk(1, blocks: 4), count: 4)
        builder.add(start: 7, chunk: chunk(2, blocks: 16), offset: 2, count: 9)
        builder.add(start: 50, chunk: chunk(1, blocks: 4), offset: 1, count: 2)
        return builder.finish()
    }

    /// Puts a right checksum at the end of bytes that were changed on purpose.
    private func sealed(_ bytes: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(Array(bytes.dropLast(4)))
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    private func decodingError(_ bytes: [UInt8]) -> BlockMapError? {
        do throws(BlockMapError) {
            _ = try BlockMap(decoding: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let (map, _) = random.map(blockCount: Int.random(in: 0...2000, using: &random))
        let bytes = map.encode()
        let again = try BlockMap(decoding: bytes)
        #expect(again == map)
        #expect(again.encode() == bytes)
        #expect(again.digest == Digest(hashing: bytes))
    }

    @Test func anEncodedMapKeepsWhatItWasReadFrom() throws {
        let made = EncodedBlockMap(small())
        #expect(made.bytes == small().encode())
        #expect(made.digest == small().digest)
        let read = try EncodedBlockMap(decoding: made.bytes)
        #expect(read.map == small())
        #expect(read.bytes == made.bytes)
        #expect(read.digest == made.digest)
        #expect(throws: BlockMapError.self) { try EncodedBlockMap(decoding: Array(made.bytes.dropLast())) }
    }

    /// The bytes of the format, counted by hand: a change of them is a change of the format.
    @Test func theBytesAreThese() {
        let bytes = small().encode()
        #expect(bytes.count == 32 + 2 * 33 + 3 * 10 + 4)
        #expect(Array(bytes[..<8]) == Array("SLKBMAP\n".utf8))
        #expect(
            Array(bytes[8..<32]) == [1, 0, 0, 16, 100, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
                + Array(repeating: 0, count: 8))
        #expect(Array(bytes[32..<64]) == chunk(1).digest.bytes)
        #expect(bytes[64] == 4)
        #expect(
            Array(bytes[98..<128]) == [
                3, 0, 0, 0, 0, 0, 0, 0, 4, 0,
                7, 0, 0, 0, 1, 0, 0, 0, 9, 2,
                50, 0, 0, 0, 0, 0, 0, 0, 2, 1,
            ])
    }

    @Test func everyFlippedBitIsFound() {
        let bytes = small().encode()
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect(decodingError(changed) != nil, "bit \(bit) of byte \(index)")
            }
        }
    }

    /// With the checksum made right again a change may be another map, but a valid and canonical one.
    @Test func aForgedMapIsValidOrRefused() throws {
        let bytes = small().encode()
        for index in bytes.indices.dropLast(4) {
            for value in [0, 1, 15, 16, 17, 127, 128, 255] as [UInt8] where value != bytes[index] {
                var changed = bytes
                changed[index] = value
                changed = sealed(changed)
                guard decodingError(changed) == nil else { continue }
                let map = try BlockMap(decoding: changed)
                #expect(map.encode() == changed, "byte \(index)")
                map.forEachPiece(in: BlockRange(start: 0, count: map.blockCount)) { _, _ in }
            }
        }
    }

    @Test func everyTruncationIsFound() {
        let bytes = small().encode()
        for count in 0..<bytes.count {
            #expect(decodingError(Array(bytes[..<count])) != nil, "\(count) bytes")
            if count > 4 {
                #expect(decodingError(sealed(Array(bytes[..<count]))) != nil, "\(count) bytes, sealed")
            }
        }
        #expect(decodingError(bytes + [0]) == .invalid("1 bytes follow its end"))
        #expect(decodingError([]) == .notABlockMap)
    }

    /// Counts that promise 160 GiB in a file of 36 bytes: refused before a byte is reserved for them.
    @Test(arguments: [(UInt32.max, 0 as UInt32), (0, .max), (.max, .max), (1, 0), (0, 1)])
    func hostileCountsAllocateNothing(chunks: UInt32, extents: UInt32) {
        var writer = ByteWriter()
        writer.put(Array("SLKBMAP\n".utf8))
        writer.put(1 as UInt16)
        writer.put(4096 as UInt16)
        writer.put(UInt32.max)
        writer.put(chunks)
        writer.put(extents)
        writer.pad(to: 32)
        writer.put(CRC32C.checksum(writer.bytes))
        #expect(decodingError(writer.bytes) == .truncated(atByte: 36))
    }

    @Test func foreignBytesAreNamedAsSuch() {
        var bytes = small().encode()
        #expect(decodingError(Array("#!/bin/sh\n".utf8)) == .notABlockMap)
        bytes[8] = 9
        #expect(decodingError(sealed(bytes)) == .unknownVersion(9))
        bytes[8] = 1
        bytes[11] = 32
        #expect(decodingError(sealed(bytes)) == .invalid("blocks of 8192 bytes"))
        bytes[11] = 16
        bytes[31] = 1
        #expect(decodingError(sealed(bytes)) == .invalid("reserved bytes are not zero"))
    }
}

@Suite struct BlockMapValidationTests {
    /// Encodes whatever is asked, sense or nonsense, with a right checksum.
    private func encode(blockCount: UInt32 = 100, chunks: [ChunkDescriptor], extents: [Extent]) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(Array("SLKBMAP\n".utf8))
        writer.put(1 as UInt16)
        writer.put(4096 as UInt16)
        writer.put(blockCount)
        writer.put(UInt32(chunks.count))
        writer.put(UInt32(extents.count))
        writer.pad(to: 32)
        for chunk in chunks {
            writer.put(chunk.digest.bytes)
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

    private static let two = [chunk(1, blocks: 4), chunk(2, blocks: 4)]

    private static func extent(
        _ start: UInt32, _ count: UInt8, _ chunk: UInt32, _ offset: UInt8 = 0
    ) -> Extent {
        Extent(start: start, count: count, chunk: chunk, offset: offset)
    }

    @Test func theHelperEncodesAsTheMapDoes() throws {
        let extents = [Self.extent(0, 4, 0), Self.extent(9, 2, 1, 2)]
        let bytes = encode(chunks: Self.two, extents: extents)
        #expect(try BlockMap(decoding: bytes).extents == extents)
    }

    @Test(arguments: [
        ("overlap", [extent(0, 4, 0), extent(3, 4, 1)]),
        ("disorder", [extent(8, 4, 0), extent(0, 4, 1)]),
        ("nothing in an extent", [extent(0, 4, 0), extent(8, 0, 1)]),
        ("beyond the volume", [extent(0, 4, 0), extent(97, 4, 1)]),
        ("at the end of all numbers", [extent(0, 4, 0), extent(.max, 4, 1)]),
        ("a chunk that is not there", [extent(0, 4, 0), extent(8, 4, 2)]),
        ("chunks out of order", [extent(0, 4, 1), extent(8, 4, 0)]),
        ("beyond the chunk", [extent(0, 4, 0), extent(8, 4, 1, 1)]),
        ("beyond the chunk, by a sum above 255", [extent(0, 4, 0), extent(8, 2, 1, 255)]),
        ("a chunk of no extent", [extent(0, 4, 0)]),
        ("two extents that are one", [extent(0, 2, 0), extent(2, 2, 0, 2), extent(8, 4, 1)]),
    ])
    func refuses(what: String, extents: [Extent]) {
        #expect(throws: BlockMapError.self, "\(what)") {
            try BlockMap(decoding: encode(chunks: Self.two, extents: extents))
        }
    }

    @Test func refusesAChunkThatStandsTwice() {
        let same = [chunk(1, blocks: 4), chunk(1, blocks: 4)]
        let bytes = encode(chunks: same, extents: [Self.extent(0, 4, 0), Self.extent(8, 4, 1)])
        #expect(throws: BlockMapError.invalid("a chunk stands in the table twice")) {
            try BlockMap(decoding: bytes)
        }
    }

    @Test(arguments: [0, 17, 255] as [UInt8])
    func refusesChunksOfAWrongLength(blocks: UInt8) {
        var bytes = encode(chunks: Self.two, extents: [Self.extent(0, 4, 0), Self.extent(8, 4, 1)])
        bytes[32 + 32] = blocks
        var writer = ByteWriter()
        writer.put(Array(bytes.dropLast(4)))
        writer.put(CRC32C.checksum(writer.bytes))
        #expect(throws: BlockMapError.invalid("chunk 0 has \(blocks) blocks")) {
            try BlockMap(decoding: writer.bytes)
        }
    }

    /// Digests that agree in three of four words must not make reading quadratic.
    @Test(.timeLimit(.minutes(1))) func digestsMadeToCollideAreReadQuickly() throws {
        let count = 60_000 as UInt32
        let chunks = (0..<count).map {
            ChunkDescriptor(digest: Digest(words: (1, 2, 3, UInt64($0))), blockCount: 1)
        }
        let extents = (0..<count).map { Self.extent($0, 1, $0) }
        let map = try BlockMap(decoding: encode(blockCount: count, chunks: chunks, extents: extents))
        #expect(map.extents.count == Int(count))
    }
}
