// SPDX-License-Identifier: Apache-2.0

import Base
import Ext4
import Flatten
import Glibc
import OCI
import Testing

/// What differs between two trees, written as a layer, makes the one of the other.
@Suite(.timeLimit(.minutes(5))) struct LayerExportTests {
    /// A root file system with something of everything.
    static let base = TarBuilder.layer { tar in
        tar.directory("./")
        tar.directory("etc")
        tar.file("etc/keep", "lower")
        tar.file("etc/replaced", "lower")
        tar.file("etc/removed", "lower")
        tar.directory("gone")
        tar.file("gone/inner", "x")
        tar.directory("opaque", mode: 0o711)
        tar.file("opaque/one", "x")
        tar.file("opaque/two", "x")
        tar.directory("emptied")
        tar.file("emptied/only", "x")
        tar.directory("untouched")
        tar.directory("untouched/deep")
        tar.file("untouched/deep/file", String(repeating: "data", count: 9000))
        tar.directory("links")
        tar.file("links/a", "shared by three")
        tar.hardLink("links/b", to: "links/a")
        tar.hardLink("untouched/c", to: "links/a")
        tar.file("links/pair1", "pair")
        tar.hardLink("links/pair2", to: "links/pair1")
        tar.symlink("sym", to: "etc/keep")
        tar.special("pipe", "6")
        tar.special("null", "3", major: 1, minor: 3, mode: 0o666)
    }

    @Test func nothingChanged() throws {
        let fixture = try Fixture()
        let map = try fixture.flatten(Fixture.image([Self.base])).map
        for isDescendant in [false, true] {
            let (layer, bytes) = try fixture.export(
                base: map, top: map, .init(compression: .none, isDescendant: isDescendant))
            #expect(layer.isEmpty)
            #expect(bytes == [UInt8](repeating: 0, count: 1024))
        }
    }

    @Test func additionsChangesAndRemovals() throws {
        let upper = TarBuilder.layer { tar in
            tar.directory("etc", mode: 0o700, owner: 7)
            tar.file("etc/replaced", "upper, longer")
            tar.mark("etc/.wh.removed")
            tar.mark(".wh.gone")
            tar.mark("emptied/.wh.only")
            tar.directory("opaque", mode: 0o755)
            tar.file("opaque/new", "y")
            tar.mark("opaque/.wh..wh..opq")
            tar.directory("added/below")
            tar.file("added/below/file", "z", mode: 0o6755)
        }
        let fixture = try Fixture()
        let bytes = try fixture.expectExport(base: [Self.base], top: [upper])
        let names = try fixture.names(in: bytes)
        #expect(
            names == [
                "./", ".wh.gone", "added/", "added/below/", "added/below/file", "emptied/",
                "emptied/.wh.only", "etc/", "etc/.wh.removed", "etc/replaced", "opaque/",
                "opaque/.wh..wh..opq", "opaque/new",
            ])
    }

    @Test func kindsReplaceEachOther() throws {
        let upper = TarBuilder.layer { tar in
            tar.file("gone", "a file now")
            tar.directory("sym")
            tar.file("sym/inner", "in place of the link")
            tar.symlink("opaque", to: "etc")
            tar.file("pipe", "no pipe")
            tar.special("null", "4", major: 8, minor: 300, mode: 0o600)
            tar.directory("etc/keep")
            tar.symlink("links/pair1", to: "pair2")
        }
        try Fixture().expectExport(base: [Self.base], top: [upper])
    }

    /// An inode comes with all its names, or with none.
    @Test func hardLinks() throws {
        let upper = TarBuilder.layer { tar in
            tar.file("links/a", "parted")
            tar.file("links/pair1", "changed")
            tar.hardLink("links/pair2", to: "links/pair1")
            tar.hardLink("new", to: "sym")
            tar.special("pipe2", "6")
            tar.hardLink("pipe3", to: "pipe2")
        }
        try Fixture().expectExport(base: [Self.base], top: [upper])
    }

    @Test func aNewNameBringsItsWholeInode() throws {
        let fixture = try Fixture()
        let upper = TarBuilder.layer { $0.hardLink("links/d", to: "links/a") }
        let lower = try fixture.flatten(Fixture.image([Self.base])).map
        let whole = try fixture.flatten(Fixture.image([Self.base, upper])).map
        let bytes = try fixture.export(base: lower, top: whole).bytes
        let names = try fixture.names(in: bytes)
        for name in ["links/a", "links/b", "links/d", "untouched/c"] { #expect(names.contains(name)) }
        try fixture.expectEqual(try fixture.flatten(Fixture.image([Self.base, bytes])).map, whole)
    }

    /// Files of the same bytes and attributes, linked in one tree and apart in the other.
    @Test(arguments: [true, false])
    func linksThatCameOrWent(_ isLinkedBefore: Bool) throws {
        func layer(linked: Bool) -> [UInt8] {
            TarBuilder.layer { tar in
                tar.file("one", "same")
                if linked { tar.hardLink("two", to: "one") } else { tar.file("two", "same") }
            }
        }
        let fixture = try Fixture()
        let before = try fixture.flatten(Fixture.image([layer(linked: isLinkedBefore)])).map
        let after = try fixture.flatten(Fixture.image([layer(linked: !isLinkedBefore)])).map
        let bytes = try fixture.export(base: before, top: after).bytes
        let both = try fixture.flatten(Fixture.image([layer(linked: isLinkedBefore), bytes])).map
        try fixture.expectEqual(both, after)
    }

    @Test func attributes() throws {
        let acl: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255,
            255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
        ]
        let upper = TarBuilder.layer { tar in
            for mode in [0o000, 0o1777, 0o2755, 0o4711, 0o7777] as [UInt32] {
                tar.file("mode\(mode)", "x", mode: mode)
                tar.directory("dir\(mode)", mode: mode)
            }
            var entry = TarBuilder.Entry("owned")
            (entry.owner, entry.group) = (4_000_000_000, 2_097_152)
            tar.add(entry)
            entry = TarBuilder.Entry("precise")
            entry.nanoseconds = 120_000_789
            tar.add(entry)
            entry = TarBuilder.Entry("future")
            entry.pax = [("mtime", Array("14000000000.000000001".utf8))]
            tar.add(entry)
            entry = TarBuilder.Entry("past")
            entry.seconds = -1000
            tar.add(entry)
            tar.special("wide", "3", major: 300, minor: 70000)
            entry = TarBuilder.Entry("capable")
            entry.pax = [
                ("SCHILY.xattr.security.capability", [1, 0, 0, 2, 0, 4] + [UInt8](repeating: 0, count: 14))
            ]
            tar.add(entry)
            entry = TarBuilder.Entry("binary")
            entry.mode = 0o674
            entry.pax = [
                ("SCHILY.xattr.user.zero", [0, 1, 0, 0x0A, 0x3D, 0xFF, 0]), ("SCHILY.xattr.user.empty", []),
                ("SCHILY.xattr.user.long", [UInt8](repeating: 0x61, count: 2000)),
                ("SCHILY.xattr.system.posix_acl_access", acl),
            ]
            tar.add(entry)
            // Of files that are there: one attribute each.
            tar.file("etc/keep", "lower", mode: 0o600)
            entry = TarBuilder.Entry("etc/replaced")
            (entry.data, entry.pax) = (Array("lower".utf8), [("SCHILY.xattr.user.a", [1])])
            tar.add(entry)
            entry = TarBuilder.Entry("etc/removed")
            (entry.data, entry.nanoseconds) = (Array("lower".utf8), 1)
            tar.add(entry)
        }
        try Fixture().expectExport(base: [Self.base], top: [upper])
    }

    @Test func namesAreBytes() throws {
        let upper = TarBuilder.layer { tar in
            for raw in [[0xFF, 0xFE, 0x80], [0x1B, 0x5B, 0x32, 0x4A], [0x61, 0x0A, 0x62], [0xC3, 0xA9]]
                as [[UInt8]]
            {
                for name in [raw, raw + [UInt8](repeating: 0x78, count: 255 - raw.count)] {
                    var entry = TarBuilder.Entry("")
                    (entry.name, entry.data) = (name, raw)
                    tar.add(entry)
                }
                var entry = TarBuilder.Entry("", "2")
                (entry.name, entry.link) = (Array("link".utf8) + raw, raw)
                tar.add(entry)
            }
            tar.file(".wh", "no whiteout")
            let long = String(repeating: "n", count: 150)
            tar.file("\(long)/\(long)/\(long)", "deep")
            tar.symlink("far", to: "\(long)/\(long)")
            tar.hardLink("near", to: "\(long)/\(long)/\(long)")
        }
        try Fixture().expectExport(base: [Self.base], top: [upper])
    }

    @Test func lengthsAroundBlocks() throws {
        let fixture = try Fixture()
        try fixture.shell(
            """
            mkdir t; truncate -s 1M t/hole; : > t/empty
            for s in 1 511 512 513 4095 4096 4097 70000 2000000; do seq 400000 | head -c $s > t/$s; done
            tar --format=posix --numeric-owner -C t -cf layer.tar .
            """)
        try fixture.expectExport(base: [Self.base], top: [try fixture.read("layer.tar")])
    }

    /// More than 4 GiB, nearly all of it a hole; takes minutes in a build that is not optimised.
    @Test(.enabled(if: getenv("SLACKER_MEASURE") != nil)) func aHugeFile() throws {
        let fixture = try Fixture()
        try fixture.shell(
            """
            mkdir t; truncate -s 4300M t/huge; printf head | dd of=t/huge conv=notrunc status=none
            printf middle | dd of=t/huge bs=1 seek=4500000001 conv=notrunc status=none
            tar -S --format=posix -C t -cf layer.tar huge
            """)
        let whole = try fixture.flatten(Fixture.image([try fixture.read("layer.tar")])).map
        let file = try File(open: fixture.path + "/whole.tar.zst", O_RDWR | O_CREAT)
        let layer = try LayerExport.run(
            base: nil, top: try fixture.tree(whole), options: .init(compression: .zstd, level: 1), to: file)
        #expect(layer.plainBytes > 4300 << 20 && layer.sizeBytes < 4 << 20)
        try fixture.shell("mkdir out; zstd -dc whole.tar.zst | tar -S -C out -xf -; cmp t/huge out/huge")
    }

    @Test(arguments: [LayerCompression.gzip, .zstd])
    func packedLayers(_ compression: LayerCompression) throws {
        let fixture = try Fixture()
        let whole = try fixture.flatten(Fixture.image([Self.base])).map
        let plain = try fixture.export(base: nil, top: whole)
        let (layer, bytes) = try fixture.export(base: nil, top: whole, .init(compression: compression))
        #expect(layer.diffID == plain.layer.digest && layer.plainBytes == plain.layer.sizeBytes)
        #expect(layer.mediaType == "application/vnd.oci.image.layer.v1.tar+\(compression.rawValue)")
        #expect(LayerCompression(sniffing: bytes) == compression)
        _ = try fixture.write(bytes, as: "packed")
        let tool = compression == .gzip ? "gzip" : "zstd"
        try fixture.shell("\(tool) -dc < packed > plain; sha256sum plain | grep -q \(layer.diffID.hex)")
        let image = Fixture.image([bytes], compression: compression, diffIDs: [layer.diffID])
        try fixture.expectEqual(try fixture.flatten(image).map, whole)
    }
}
