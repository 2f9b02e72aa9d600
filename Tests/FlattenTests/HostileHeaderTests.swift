// SPDX-License-Identifier: Apache-2.0

import Flatten
import OCI
import Testing

/// Headers that libarchive takes in a way of its own, and layers that are far larger than they look.
@Suite struct HostileHeaderTests {
    private static func records(_ text: String, _ type: Character = "x") -> TarBuilder.Entry {
        var header = TarBuilder.Entry("pax", type)
        header.data = Array(text.utf8)
        return header
    }

    private static func layer(_ records: TarBuilder.Entry) -> [UInt8] {
        TarBuilder.layer { tar in
            tar.file("before", "stored before the bad entry comes")
            tar.add(records)
            tar.file("after", "x")
        }
    }

    private func expectRefusal(_ layer: [UInt8], _ words: String...) throws {
        try Fixture().expectRefusal(Fixture.image([layer]), words)
    }

    @Test(arguments: ["8", "9", "A", "D", "M", "N", "Z", "\u{7F}"] as [Character])
    func unknownTypes(_ type: Character) throws {
        let layer = TarBuilder.layer { tar in
            tar.file("before", "x")
            tar.add(TarBuilder.Entry("odd", type))
        }
        try expectRefusal(layer, "layer layer0: ", "its type")
    }

    @Test(arguments: ["path", "linkpath", "uname", "GNU.sparse.name"])
    func aNULInAName(_ key: String) throws {
        var entry = TarBuilder.Entry("odd")
        entry.pax = [(key, Array("etc/passwd\u{0}.txt".utf8))]
        try expectRefusal(TarBuilder.layer { $0.add(entry) }, "a NUL in '\(key)'")
    }

    @Test func aNULWhereItMayBe() throws {
        let layer = TarBuilder.layer { tar in
            var entry = TarBuilder.Entry("f")
            entry.pax = [("SCHILY.xattr.user.binary", [0, 1, 0]), ("comment", [0x61, 0])]
            tar.add(entry)
        }
        #expect(try Fixture().flatten(Fixture.image([layer])).counters.inodes == 2)
    }

    @Test(
        arguments: [
            "12 path=a/b", "99 path=evil\n", "0 path=evil\n", "-5 path=evil\n", "path=evil\n", "8 =evil\n",
            "9 nokey\n\n", "12 path=evil\n12", "99999999999999999999 a=b\n",
        ])
    func malformedRecords(_ text: String) throws {
        try expectRefusal(Self.layer(Self.records(text)), "extended header", "malformed")
    }

    @Test func whatOtherToolsWriteIsTaken() throws {
        let layer = TarBuilder.layer { tar in
            tar.add(TarBuilder.Entry("a label", "V"))
            tar.add(Self.records("23 comment=a commit id\n", "g"))
            tar.add(Self.records("13 path=name\n"))
            tar.file("short", "x")
            var long = TarBuilder.Entry("././@LongLink", "L")
            long.data = Array("a/long/name\u{0}".utf8)
            tar.add(long)
            tar.file("short", "y")
            tar.add(TarBuilder.Entry("contiguous", "7"))
            tar.add(TarBuilder.Entry("old", "\u{0}"))
        }
        let result = try Fixture().flatten(Fixture.image([layer]))
        #expect(result.counters.inodes == 1 + 1 + 2 + 1 + 2)
    }

    @Test func headersAreFollowedFromBufferToBuffer() throws {
        // The extended header is the last block of a buffer of 512 KiB, or lies behind it.
        for blocks in 1020...1026 {
            let layer = TarBuilder.layer { tar in
                var filler = TarBuilder.Entry("filler")
                filler.data = [UInt8](repeating: 0x41, count: (blocks - 1) * 512)
                tar.add(filler)
                var entry = TarBuilder.Entry("odd")
                entry.pax = [
                    ("comment", [UInt8](repeating: 0x42, count: 700)), ("path", Array("a\u{0}b".utf8)),
                ]
                tar.add(entry)
            }
            try expectRefusal(layer, "a NUL in 'path'")
        }
    }

    @Test(arguments: ["-1", "18446744073709551616", "9223372036854775807", "17592186044416"])
    func sizes(_ size: String) throws {
        var entry = TarBuilder.Entry("sized")
        entry.pax = [("size", Array(size.utf8))]
        try expectRefusal(TarBuilder.layer { $0.add(entry) }, "layer0")
    }

    @Test func lengthsThatAddUpToTooMuch() throws {
        let layer = TarBuilder.layer { tar in
            for index in 0..<4 {
                var entry = TarBuilder.Entry("sparse\(index)")
                entry.pax = [
                    ("GNU.sparse.size", Array("17000000000000".utf8)),
                    ("GNU.sparse.numblocks", Array("1".utf8)), ("GNU.sparse.map", Array("0,1".utf8)),
                ]
                entry.data = [0x78]
                tar.add(entry)
            }
        }
        var limits = ImportLimits(totalBytes: 1 << 45)
        limits.ratio = 0
        try Fixture().expectRefusal(
            Fixture.image([layer]), ["sparse2", "the files of the image"], limits: limits)
    }

    @Test(arguments: ["gzip -n", "zstd -q"])
    func layersThatUnpackToFarMoreThanTheirSize(_ command: String) throws {
        let fixture = try Fixture()
        try fixture.shell("head -c 20M /dev/zero > zeros; tar -cf - zeros | \(command) > bomb; rm zeros")
        let compression: LayerCompression = command == "gzip -n" ? .gzip : .zstd
        let image = Fixture.image([try fixture.read("bomb")], compression: compression)
        try fixture.expectRefusal(
            image, ["layer0", "100 times its size", "import.max_ratio"],
            limits: ImportLimits(ratio: 100, ratioFreeBytes: 1 << 20))
        #expect(try fixture.flatten(image, limits: ImportLimits(ratio: 100)).counters.fileBytes == 20 << 20)
        let unlimited = ImportLimits(ratio: 0, ratioFreeBytes: 0)
        #expect(try fixture.flatten(image, limits: unlimited).counters.fileBytes == 20 << 20)
    }
}
