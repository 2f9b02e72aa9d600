// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI
import TestSupport
import Testing

@testable import Distribution

/// Bytes of the other side, changed in every way that can be thought of.
@Suite("Hostile artifacts")
struct HostileArtifactTests {
    /// A map and its places as a push would say them.
    private struct Sample {
        let map: BlockMap
        let table: PlaceTable
        let blob: MapBlob
    }

    private func sample(_ seed: UInt64) -> Sample {
        var random = SplitMix(seed: seed)
        var builder = BlockMapBuilder(blockCount: 400)
        var places: [Place] = []
        var offset: UInt64 = 16
        let pack = PackInfo(digest: Digest(hashing: [1]), sizeBytes: 1 << 20)
        for index in 0..<20 {
            let blocks = UInt8(1 + random.below(16))
            let chunk = ChunkDescriptor(digest: Digest(hashing: random.bytes(8)), blockCount: blocks)
            builder.add(start: UInt32(index * 20), chunk: chunk, count: blocks)
            places.append(Place(pack: 0, offset: offset, byteCount: 2000, coding: .zstd))
            offset += 2000
        }
        let map = builder.finish()
        let table = PlaceTable(packs: [pack], places: places, bootPack: 0, bootChunks: 3)
        return Sample(
            map: map, table: table,
            blob: MapBlob(isDifference: false, map: map.encode(), places: table.encode()))
    }

    private func artifact(
        _ sample: Sample, plain: [[UInt8]], packs: [PackInfo]? = nil
    ) throws -> (
        ImageArtifact, [[UInt8]]
    ) {
        let frames = try plain.map { try #require(ZstdFrame.compress($0)) }
        let maps = zip(plain, frames).map {
            ImageArtifact.Map(
                digest: Digest(hashing: $1), sizeBytes: UInt64($1.count), plainBytes: $0.count)
        }
        let artifact = ImageArtifact(
            configuration: Descriptor(mediaType: MediaType.ociConfiguration, of: [1]), maps: maps,
            packs: packs ?? sample.table.packs, bootBytes: nil, mapDigest: sample.map.digest, subject: nil,
            annotations: [:])
        return (artifact, frames)
    }

    private func assemble(
        _ sample: Sample, plain: [[UInt8]], packs: [PackInfo]? = nil
    ) throws -> AssembledImage {
        let (artifact, frames) = try artifact(sample, plain: plain, packs: packs)
        return try AssembledImage(artifact, blobs: frames)
    }

    @Test("an honest one is believed, whole and as a difference")
    func honest() throws {
        let (first, second) = (sample(1), sample(2))
        let image = try assemble(first, plain: [first.blob.encode()])
        #expect(image.map == first.map && image.places == first.table)
        let difference = MapBlob(
            isDifference: true, map: second.map.difference(from: first.map),
            places: second.table.difference(of: second.map, from: first.table, of: first.map))
        let next = try assemble(second, plain: [first.blob.encode(), difference.encode()])
        #expect(next.map == second.map && next.places == second.table)
    }

    @Test("every changed byte is refused or harmless")
    func everyByte() throws {
        let sample = sample(3)
        let plain = sample.blob.encode()
        var random = SplitMix(seed: 4)
        for index in plain.indices {
            var changed = plain
            changed[index] ^= UInt8(1 + random.below(255))
            guard let image = try? assemble(sample, plain: [changed]) else { continue }
            #expect(image.map == sample.map, "byte \(index) made another map")
            #expect(image.places.packs == sample.table.packs)
        }
    }

    @Test("cut off, lengthened and shuffled blobs are refused")
    func lengths() throws {
        let sample = sample(5)
        let plain = sample.blob.encode()
        for length in stride(from: 0, to: plain.count, by: 7) {
            #expect(throws: (any Error).self) { try assemble(sample, plain: [Array(plain[..<length])]) }
        }
        #expect(throws: MapBlobError.self) { try assemble(sample, plain: [plain + [0]]) }
        #expect(throws: MapBlobError.self) { try assemble(sample, plain: [plain, plain]) }
        let mixed = MapBlob(isDifference: true, map: sample.blob.map, places: sample.blob.places)
        #expect(throws: MapBlobError.self) { try assemble(sample, plain: [mixed.encode()]) }
        #expect(throws: MapBlobError.self) { try assemble(sample, plain: [plain, mixed.encode()]) }
    }

    @Test("frames that lie about their length are refused before they take memory")
    func frames() throws {
        let sample = sample(6)
        let (artifact, frames) = try artifact(sample, plain: [sample.blob.encode()])
        let map = artifact.maps[0]
        for plainBytes in [map.plainBytes - 1, map.plainBytes + 1, MapBlob.maximumPlainBytes] {
            #expect(ZstdFrame.decompress(frames[0], byteCount: plainBytes) == nil)
        }
        var random = SplitMix(seed: 7)
        for _ in 0..<500 {
            var frame = frames[0]
            frame[random.below(frame.count)] ^= UInt8(1 + random.below(255))
            _ = try? AssembledImage(artifact, blobs: [frame])
        }
        #expect(ZstdFrame.decompress(frames[0] + frames[0], byteCount: map.plainBytes) == nil)
    }

    @Test("places outside of the chunks of a pack, and packs that are not named, are refused")
    func places() throws {
        let sample = sample(8)
        func refused(_ table: PlaceTable) throws {
            let blob = MapBlob(isDifference: false, map: sample.map.encode(), places: table.encode())
            #expect(throws: MapBlobError.self) {
                try assemble(sample, plain: [blob.encode()], packs: table.packs)
            }
        }
        let end: UInt64 = 1 << 20
        for offset in [0, 15, end - 2000, end - 2063] as [UInt64] {
            var places = sample.table.places
            places[3] = Place(pack: 0, offset: offset, byteCount: 2000, coding: .zstd)
            try refused(PlaceTable(packs: sample.table.packs, places: places))
        }
        var missing = sample.table.places
        missing[0] = nil
        try refused(PlaceTable(packs: sample.table.packs, places: missing))
        let other = PackInfo(digest: Digest(hashing: [9]), sizeBytes: 1 << 20)
        #expect(throws: MapBlobError.self) {
            try assemble(sample, plain: [sample.blob.encode()], packs: [other])
        }
    }

    @Test("manifests that break a rule are refused")
    func manifests() throws {
        let sample = sample(9)
        let (artifact, _) = try artifact(sample, plain: [sample.blob.encode()])
        func parse(_ bytes: [UInt8]) throws -> ImageArtifact {
            guard
                case .manifest(let manifest) = try ManifestDocument(
                    parsing: bytes, mediaType: MediaType.ociManifest, name: "test")
            else { throw MapBlobError("an index") }
            return try ImageArtifact(manifest)
        }
        let bytes = try artifact.encode()
        #expect(try parse(bytes).packs == artifact.packs)
        #expect(try parse(bytes).bootBytes == nil)
        func changed(
            _ maps: [ImageArtifact.Map], _ packs: [PackInfo], boot: UInt64? = nil
        ) throws -> [UInt8] {
            try ImageArtifact(
                configuration: artifact.configuration, maps: maps, packs: packs,
                bootBytes: boot, mapDigest: artifact.mapDigest, subject: nil, annotations: [:]
            ).encode()
        }
        let (map, pack) = (artifact.maps[0], artifact.packs[0])
        let huge = ImageArtifact.Map(digest: map.digest, sizeBytes: map.sizeBytes, plainBytes: 1 << 40)
        let loose = ImageArtifact.Map(digest: map.digest, sizeBytes: 1 << 30, plainBytes: 100)
        let bad: [[UInt8]] = [
            try changed([], [pack]), try changed(Array(repeating: map, count: 10), [pack]),
            try changed([huge], [pack]), try changed([loose], [pack]), try changed([map], [pack, pack]),
            try changed([map], [PackInfo(digest: pack.digest, sizeBytes: 79)]),
            try changed([map], [PackInfo(digest: pack.digest, sizeBytes: 1 << 41)]),
            try changed([map], [pack], boot: pack.sizeBytes), try changed([map], [pack], boot: 16),
            try changed([map], [], boot: 17),
        ]
        for bytes in bad { #expect(throws: MapBlobError.self) { try parse(bytes) } }
        #expect(try parse(changed([map], [pack], boot: 17)).bootBytes == 17)
        var random = SplitMix(seed: 10)
        for _ in 0..<2000 {
            var mutated = bytes
            for _ in 0...random.below(3) { mutated[random.below(mutated.count)] = UInt8(random.below(256)) }
            guard let found = try? parse(mutated) else { continue }
            #expect(found.maps.allSatisfy { $0.plainBytes <= MapBlob.maximumPlainBytes })
            #expect(!found.maps.isEmpty)
        }
    }
}
