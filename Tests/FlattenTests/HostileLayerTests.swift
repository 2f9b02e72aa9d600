// SPDX-License-Identifier: Apache-2.0

import Flatten
import Testing

/// Layers that must be refused with an error that names the entry, and that must leave no chunk behind.
@Suite struct HostileLayerTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let words: [String]
        let layers: [[UInt8]]

        init(_ name: String, _ words: [String], _ layers: [UInt8]...) {
            testDescription = name
            self.words = words
            self.layers = layers
        }
    }

    private static func layer(_ body: (inout TarBuilder) -> Void) -> [UInt8] { TarBuilder.layer(body) }

    private static func one(_ entry: TarBuilder.Entry) -> [UInt8] {
        layer { tar in
            tar.file("before", "stored before the bad entry comes")
            tar.add(entry)
        }
    }

    private static func named(_ name: String, _ type: Character = "0", link: String = "") -> [UInt8] {
        var entry = TarBuilder.Entry(name, type)
        entry.link = Array(link.utf8)
        return one(entry)
    }

    private static func sized(_ field: [UInt8]) -> [UInt8] {
        var entry = TarBuilder.Entry("sized")
        entry.sizeField = field
        return one(entry)
    }

    /// A file of a million bytes in GNU's sparse format 0.1.
    private static func sparse(_ map: String, _ dataBytes: Int) -> [UInt8] {
        var entry = TarBuilder.Entry("sparse")
        entry.data = [UInt8](repeating: 0x78, count: dataBytes)
        entry.pax = [
            ("GNU.sparse.size", Array("1000000".utf8)),
            ("GNU.sparse.numblocks", Array("\(map.split(separator: ",").count / 2)".utf8)),
            ("GNU.sparse.map", Array(map.utf8)),
        ]
        return one(entry)
    }

    private static func paxed(_ key: String, _ value: String) -> [UInt8] {
        var entry = TarBuilder.Entry("paxed")
        entry.pax = [(key, Array(value.utf8))]
        return one(entry)
    }

    // One statement for each case: the compiler takes minutes for one large literal.
    static let names: [Case] = {
        var cases: [Case] = []
        cases.append(Case("parent", ["../evil", "leaves the tree"], named("../evil")))
        cases.append(Case("parent inside", ["leaves the tree"], named("a/../../evil")))
        cases.append(Case("absolute", ["/etc/passwd", "absolute"], named("/etc/passwd")))
        cases.append(Case("long component", ["longer than 255"], named(String(repeating: "n", count: 256))))
        cases.append(
            Case("long path", ["longer than 4096"], named(String(repeating: "abcdefg/", count: 600) + "x")))
        cases.append(Case("root is a file", ["root"], named("./x/..")))
        cases.append(Case("escape sequence in a refused name", ["\\u{1B}"], named("/\u{1B}[2J")))
        cases.append(Case("empty whiteout", [".wh.", "whiteout"], named(".wh.")))
        cases.append(Case("whiteout of .", [".wh..", "whiteout"], named("d/.wh..")))
        cases.append(Case("whiteout of ..", [".wh...", "whiteout"], named(".wh...")))
        cases.append(Case("below a whiteout", ["below a whiteout"], named(".wh.x/y")))
        cases.append(Case("below a file", ["not a directory"], named("before/x")))
        cases.append(
            Case(
                "below a pipe", ["not a directory"],
                layer { tar in
                    tar.special("p", "6")
                    tar.file("p/x", "x")
                }))
        cases.append(
            Case(
                "link loop", ["too many symbolic links"],
                layer { tar in
                    tar.symlink("a", to: "b")
                    tar.symlink("b", to: "a")
                    tar.file("a/x", "x")
                }))
        cases.append(Case("symbolic link without target", ["without a target"], named("s", "2")))
        return cases
    }()

    static let links: [Case] = {
        var cases: [Case] = []
        cases.append(
            Case("absolute target", ["hard link", "absolute"], named("l", "1", link: "/etc/passwd")))
        cases.append(
            Case(
                "target outside", ["hard link", "leaves the tree"], named("l", "1", link: "../../etc/passwd"))
        )
        cases.append(Case("no such target", ["l", "nowhere", "missing"], named("l", "1", link: "nowhere")))
        cases.append(
            Case(
                "directory", ["hard link to a directory"],
                layer { tar in
                    tar.directory("d")
                    tar.hardLink("l", to: "d")
                }))
        cases.append(Case("itself", ["missing"], named("l", "1", link: "l")))
        cases.append(
            Case(
                "each other", ["missing"],
                layer { tar in
                    tar.hardLink("a", to: "b")
                    tar.hardLink("b", to: "a")
                }))
        cases.append(
            Case(
                "through a link that leaves", ["missing"],
                layer { tar in
                    tar.symlink("out", to: "../../../../etc")
                    tar.hardLink("l", to: "out/passwd")
                }))
        cases.append(
            Case(
                "target hidden in between", ["missing"], layer { $0.file("t", "x") },
                layer { $0.mark(".wh.t") }, layer { $0.hardLink("l", to: "t") }))
        cases.append(
            Case(
                "target is a directory below", ["missing"], layer { $0.directory("t") },
                layer { $0.hardLink("l", to: "t") }))
        return cases
    }()

    static let fields: [Case] = {
        var cases: [Case] = []
        cases.append(Case("8 EiB", ["layer0"], sized([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])))
        cases.append(
            Case(
                "largest number", ["layer0"], sized([0x80, 0, 0, 0, 0x7F, 255, 255, 255, 255, 255, 255, 255]))
        )
        cases.append(
            Case(
                "negative", ["layer0"], sized([0xFF, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])))
        cases.append(Case("size beyond the end", ["layer0", "sized"], sized(Array("00000100000".utf8))))
        cases.append(Case("pax size", ["layer0"], paxed("size", "9223372036854775807")))
        cases.append(Case("negative owner", ["paxed", "owner"], paxed("uid", "-5")))
        cases.append(Case("owner of 33 bits", ["paxed", "owner"], paxed("uid", "4294967296")))
        cases.append(
            Case(
                "large xattr", ["paxed", "user.big"],
                paxed("SCHILY.xattr.user.big", String(repeating: "x", count: 70_000))))
        cases.append(
            Case("sparse map that overlaps", ["sparse", "sparse map"], sparse("0,1024,512,1024", 2048)))
        cases.append(
            Case(
                "device number", ["device number"],
                Self.layer { $0.special("d", "3", major: 5000, minor: 1) }))
        return cases
    }()

    @Test(arguments: names + links + fields)
    func isRefused(_ item: Case) throws {
        try Fixture().expectRefusal(Fixture.image(item.layers), item.words)
    }

    @Test func limits() throws {
        let layer = Self.layer { tar in
            tar.file("a", String(repeating: "x", count: 3000))
            tar.file("b", String(repeating: "y", count: 3000))
        }
        let image = Fixture.image([layer])
        try Fixture().expectRefusal(image, ["more than 1 entries"], limits: ImportLimits(entryCount: 1))
        try Fixture().expectRefusal(image, ["more plain bytes"], limits: ImportLimits(totalBytes: 5000))
        let long = Fixture.image([Self.sparse("900000,1", 1)])
        try Fixture().expectRefusal(
            long, ["sparse", "100000 bytes"], limits: ImportLimits(totalBytes: 100_000))
        try Fixture().expectRefusal(image, ["more plain bytes"], limits: ImportLimits(totalBytes: 2000))
        let many = Fixture.image([[UInt8]](repeating: layer, count: 501))
        try Fixture().expectRefusal(many, ["501 layers"])
    }

    @Test func manyLayersAreTaken() throws {
        let layers = (0..<200).map { index in Self.layer { $0.file("f\(index % 50)", "\(index)") } }
        let result = try Fixture().flatten(Fixture.image(layers))
        #expect(result.counters.entries == 200)
        #expect(result.counters.inodes == 51)
    }

    @Test func acceptsALinkToItselfInALowerLayerOnly() throws {
        let fixture = try Fixture()
        let layers = [Self.layer { $0.file("t", "x") }, Self.layer { $0.hardLink("l", to: "t") }]
        #expect(try fixture.flatten(Fixture.image(layers)).counters.inodes == 2)
    }
}
