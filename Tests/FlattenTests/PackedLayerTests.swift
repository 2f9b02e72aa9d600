// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Flatten
import OCI
import Testing

/// Layers as they come packed: what is legal is read, and every damage is found and named.
@Suite struct PackedLayerTests {
    private static let layer = TarBuilder.layer { tar in
        for index in 0..<40 { tar.file("f\(index)", String(repeating: "line \(index)\n", count: 2000)) }
    }

    private static func packed(
        _ fixture: Fixture, _ bytes: [UInt8] = layer, by command: String
    ) throws -> [UInt8] {
        _ = try fixture.write(bytes, as: "plain")
        try fixture.shell("\(command) < plain > packed")
        return try fixture.read("packed")
    }

    @Test func everyPackingGivesTheSameMap() throws {
        let fixture = try Fixture()
        let diffIDs = [Digest(hashing: Self.layer)]
        let plain = try fixture.flatten(Fixture.image([Self.layer], diffIDs: diffIDs))
        let gzip = try Self.packed(fixture, by: "gzip -n")
        let zstd = try Self.packed(fixture, by: "zstd -q -T1")
        let half = Self.layer.count / 2
        let front = Array(Self.layer[..<half])
        let back = Array(Self.layer[half...])
        var members = try Self.packed(fixture, front, by: "gzip -n")
        members.append(contentsOf: try Self.packed(fixture, back, by: "gzip -n"))
        var frames = try Self.packed(fixture, front, by: "zstd -q")
        // A skippable frame in between.
        frames.append(contentsOf: [0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7])
        frames.append(contentsOf: try Self.packed(fixture, back, by: "zstd -q"))
        try expectSameMap(as: plain, gzip, .gzip, diffIDs)
        try expectSameMap(as: plain, members, .gzip, diffIDs)
        try expectSameMap(as: plain, zstd, .zstd, diffIDs)
        try expectSameMap(as: plain, frames, .zstd, diffIDs)
        // The same store, with everything in it already.
        #expect(try fixture.flatten(Fixture.image([Self.layer])).map == plain.map)
    }

    private func expectSameMap(
        as plain: FlattenedImage, _ bytes: [UInt8], _ compression: LayerCompression, _ diffIDs: [Digest]
    ) throws {
        let image = Fixture.image([bytes], compression: compression, diffIDs: diffIDs)
        let result = try Fixture().flatten(image)
        #expect(result.map == plain.map)
    }

    @Test func damageIsFound() throws {
        let fixture = try Fixture()
        let gzip = try Self.packed(fixture, by: "gzip -n")
        let zstd = try Self.packed(fixture, by: "zstd -q")
        var badCRC = gzip
        badCRC[gzip.count - 6] ^= 1
        var flipped = gzip
        flipped[gzip.count / 2] ^= 0x10
        func refused(_ bytes: [UInt8], _ compression: LayerCompression, _ words: String...) throws {
            let diffIDs = [Digest(hashing: Self.layer)]
            let image = Fixture.image([bytes], compression: compression, diffIDs: diffIDs)
            try Fixture().expectRefusal(image, ["layer0"] + words)
        }
        try refused(Array(gzip.dropLast(500)), .gzip, "ends early")
        try refused(Array(gzip.dropLast(3)), .gzip, "ends early")
        try refused([], .gzip, "ends early")
        try refused(badCRC, .gzip, "incorrect data check")
        try refused(flipped, .gzip, "damaged")
        try refused(gzip + [0], .gzip, "bytes follow")
        try refused(gzip + Array("garbage".utf8), .gzip, "bytes follow")
        try refused(Self.layer, .gzip, "not gzip")
        try refused(zstd, .gzip, "not gzip")
        try refused(gzip, .zstd, "zstd data is invalid")
        try refused(Array(zstd.dropLast(100)), .zstd, "ends early")
        try refused([], .zstd, "ends early")
        try refused(zstd + Array("garbage!".utf8), .zstd, "zstd data is invalid")
        try refused(gzip, .none, "layer0")
        try refused(Array(repeating: 0x20, count: 4096), .none, "diff_id")
    }

    @Test func aWindowThatIsTooLargeIsRefused() throws {
        let fixture = try Fixture()
        // A frame header with a window of 2 GiB: descriptor 0, exponent 21.
        let bytes: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3, 0x01, 0x00, 0x00]
        try fixture.expectRefusal(
            Fixture.image([bytes], compression: .zstd), ["zstd data is invalid", "memory"])
    }

    @Test func digestsAndSizesAreChecked() throws {
        let wrong = Digest(hashing: [1])
        let bytes = Self.layer
        func source(_ digest: Digest?, _ diffID: Digest?, _ size: Int) -> ResolvedImage {
            let inner = Fixture.image([bytes]).layers[0]
            let layer = LayerSource(
                name: "layer0", compression: .none, digest: digest, diffID: diffID, sizeBytes: UInt64(size),
                open: { () throws(OCIError) in try inner.open() })
            return ResolvedImage(
                configuration: ImageConfiguration(platform: .host), configurationBytes: [], layers: [layer])
        }
        let right = Digest(hashing: bytes)
        try Fixture().expectRefusal(source(wrong, right, bytes.count), ["layer0", "the digest"])
        try Fixture().expectRefusal(source(right, wrong, bytes.count), ["layer0", "diff_id"])
        try Fixture().expectRefusal(source(right, right, bytes.count + 1), ["layer0", "announced"])
        try Fixture().expectRefusal(source(right, right, 10), ["layer0", "announced"])
    }

    @Test func tarsThatEndEarly() throws {
        try Fixture().expectRefusal(
            Fixture.image([Array(Self.layer[..<(Self.layer.count / 2)])]), ["layer0", "tar"])
        try Fixture().expectRefusal(Fixture.image([Array("not a tar at all".utf8)]), ["layer0", "tar"])
        var broken = Self.layer
        broken[20] ^= 1
        try Fixture().expectRefusal(Fixture.image([broken]), ["layer0", "tar"])
    }

    @Test func zerosCostNothing() throws {
        let fixture = try Fixture()
        let script = "truncate -s 512M zeros; tar --format=pax -cf - zeros | gzip -n > bomb.gz; rm zeros"
        try fixture.shell(script)
        let result = try fixture.flatten(Fixture.image([try fixture.read("bomb.gz")], compression: .gzip))
        #expect(result.counters.fileBytes == 512 << 20)
        // Only metadata is stored.
        #expect(fixture.store.statistics().plainBytes < 4 << 20)
    }

    @Test func cancellation() throws {
        let fixture = try Fixture()
        let session = fixture.store.beginIngest()
        let error = #expect(throws: FlattenError.self) {
            try Importer.run(
                Fixture.image([Self.layer]), into: session, options: Fixture.options, isCancelled: { true })
        }
        #expect(error == .cancelled)
        session.release()
    }
}
