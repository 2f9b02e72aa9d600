// SPDX-License-Identifier: Apache-2.0

import Testing

/// Each test builds awkward layers and compares the flattened image with a kernel overlay of the unpacked layers.
@Suite struct UnionTests {
    @Test func layersAddReplaceAndHide() throws {
        let lower = TarBuilder.layer { tar in
            tar.directory("./")
            tar.directory("etc")
            tar.file("etc/keep", "lower")
            tar.file("etc/replaced", "lower")
            tar.file("etc/removed", "lower")
            tar.directory("gone")
            tar.file("gone/inner", "x")
            tar.directory("emptied")
            tar.file("emptied/inner", "x")
            tar.directory("opaque", mode: 0o711)
            tar.file("opaque/old", "x")
        }
        let upper = TarBuilder.layer { tar in
            tar.directory("etc", mode: 0o700, owner: 7)
            tar.file("etc/replaced", "upper, longer")
            tar.mark("etc/.wh.removed")
            tar.mark(".wh.gone")
            tar.mark(".wh.never-there")
            tar.directory("emptied")
            tar.mark("emptied/.wh.inner")
            tar.directory("opaque", mode: 0o755)
            tar.file("opaque/new", "y")
            tar.mark("opaque/.wh..wh..opq")
            tar.mark(".wh..wh.plnk")
            tar.directory(".wh..wh.plnk2")
            tar.file(".wh..wh.plnk2/17.42", "ignored")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func kindsReplaceEachOther() throws {
        let lower = TarBuilder.layer { tar in
            tar.directory("a")
            tar.file("a/inner", "x")
            tar.file("b", "a file")
            tar.symlink("c", to: "a")
            tar.directory("d")
            tar.file("d/inner", "x")
            tar.symlink("e", to: "b")
            tar.special("f", "6")
        }
        let upper = TarBuilder.layer { tar in
            tar.file("a", "now a file")
            tar.directory("b")
            tar.file("b/inner", "y")
            tar.directory("c")
            tar.file("c/inner", "in place of the link")
            tar.symlink("d", to: "b")
            tar.file("e", "not through the link")
            tar.file("f", "no pipe")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func aFileBetweenTwoDirectoriesEndsTheUnion() throws {
        let lowest = TarBuilder.layer { tar in
            tar.directory("d")
            tar.file("d/lowest", "x")
        }
        let middle = TarBuilder.layer { $0.file("d", "a file") }
        let top = TarBuilder.layer { tar in
            tar.directory("d")
            tar.file("d/top", "y")
        }
        try Fixture().expectUnion([lowest, middle, top])
    }

    @Test func aWhiteoutSparesItsOwnLayer() throws {
        let lower = TarBuilder.layer { tar in
            tar.file("f", "lower")
            tar.directory("d")
            tar.file("d/lower", "x")
            tar.directory("e")
            tar.file("e/lower", "x")
        }
        let upper = TarBuilder.layer { tar in
            tar.file("f", "upper")
            tar.mark(".wh.f")
            tar.mark(".wh.d")
            tar.directory("d")
            tar.file("d/upper", "y")
            tar.directory("e")
            tar.file("e/upper", "y")
            tar.mark(".wh.e")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func opaqueAndWhiteoutsCountForAllLayersBelow() throws {
        let lowest = TarBuilder.layer { tar in
            tar.directory("d")
            tar.file("d/one", "1")
            tar.directory("w")
            tar.file("w/one", "1")
            tar.file("x", "1")
        }
        let second = TarBuilder.layer { tar in
            tar.directory("d")
            tar.mark("d/.wh..wh..opq")
            tar.file("d/two", "2")
            tar.mark(".wh.w")
            tar.mark(".wh.x")
        }
        let third = TarBuilder.layer { tar in
            tar.directory("d")
            tar.file("d/three", "3")
            tar.directory("w")
            tar.file("w/three", "3")
        }
        try Fixture().expectUnion([lowest, second, third])
    }

    @Test func opaqueAtTheRootHidesEverything() throws {
        let lower = TarBuilder.layer { tar in
            tar.directory("d")
            tar.file("d/f", "x")
            tar.file("g", "x")
        }
        let upper = TarBuilder.layer { tar in
            tar.mark(".wh..wh..opq")
            tar.directory("d")
            tar.file("d/new", "y")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func laterEntriesOfOneLayerWin() throws {
        let layer = TarBuilder.layer { tar in
            tar.file("f", "first")
            tar.file("f", "second")
            tar.directory("d")
            tar.file("d/inner", "x")
            tar.file("d", "a file now")
            tar.symlink("l", to: "nowhere")
            tar.directory("l")
            tar.file("l/inner", "x")
            tar.directory("m", mode: 0o700)
            tar.file("m/inner", "x")
            tar.directory("m", mode: 0o751, owner: 3)
            tar.file("n", "original")
            tar.hardLink("n2", to: "n")
            tar.file("n", "another inode")
        }
        try Fixture().expectUnion([layer])
    }

    @Test func missingParentsAreMade() throws {
        let lowest = TarBuilder.layer { tar in
            tar.directory("known", mode: 0o2750, owner: 12)
            tar.directory("known/deep", mode: 0o1777)
        }
        let middle = TarBuilder.layer { $0.file("known/deep/file", "x") }
        let top = TarBuilder.layer { tar in
            tar.file("known/deep/top", "y")
            tar.file("unknown/deeper/file", "z")
            tar.mark("other/.wh.thing")
        }
        try Fixture().expectUnion([lowest, middle, top])
    }

    @Test func linksOfOneLayerAreFollowedInsideTheRoot() throws {
        let layer = TarBuilder.layer { tar in
            tar.directory("real")
            tar.symlink("absolute", to: "/real")
            tar.file("absolute/a", "1")
            tar.symlink("up", to: "../../../../real")
            tar.file("up/b", "2")
            tar.symlink("chain", to: "up")
            tar.file("chain/c", "3")
            tar.symlink("real/self", to: ".")
            tar.file("real/self/self/d", "4")
            tar.symlink("dangling", to: "made/below")
            tar.file("dangling/e", "5")
            tar.symlink("out", to: "/../../etc")
            tar.file("out/passwd", "inside")
            tar.hardLink("linked", to: "absolute/a")
        }
        try Fixture().expectUnion([layer])
    }

    @Test func aDirectoryOverALowerLinkHidesIt() throws {
        let lower = TarBuilder.layer { tar in
            tar.directory("usr")
            tar.directory("usr/bin")
            tar.file("usr/bin/tool", "x")
            tar.symlink("bin", to: "usr/bin")
        }
        let upper = TarBuilder.layer { $0.file("bin/new", "y") }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func whiteoutsThroughLinksStayInside() throws {
        let lower = TarBuilder.layer { tar in
            tar.directory("real")
            tar.file("real/f", "x")
            tar.directory("hidden")
            tar.file("hidden/f", "x")
        }
        let upper = TarBuilder.layer { tar in
            tar.symlink("link", to: "/real")
            tar.mark("link/.wh.f")
            tar.symlink("other", to: "../hidden")
            tar.mark("other/.wh..wh..opq")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func hardLinks() throws {
        let lower = TarBuilder.layer { tar in
            tar.file("a", "shared by three", mode: 0o4755)
            tar.hardLink("b", to: "a")
            tar.directory("d")
            tar.hardLink("d/c", to: "./b")
            tar.symlink("s", to: "a")
            tar.hardLink("s2", to: "s")
            tar.file("x", "hidden name, seen link")
            tar.hardLink("y", to: "x")
            tar.special("p", "6")
            tar.hardLink("p2", to: "p")
        }
        let upper = TarBuilder.layer { tar in
            tar.mark(".wh.a")
            tar.file("x", "upper")
        }
        try Fixture().expectUnion([lower, upper])
    }

    @Test func attributes() throws {
        let layer = TarBuilder.layer { tar in
            tar.directory("./", mode: 0o750, owner: 5)
            for mode in [0o000, 0o755, 0o1777, 0o2755, 0o4711, 0o7777] as [UInt32] {
                tar.file("mode\(mode)", "x", mode: mode)
                tar.directory("dir\(mode)", mode: mode)
            }
            var entry = TarBuilder.Entry("owned")
            (entry.owner, entry.group) = (4_000_000_000, 3_999_999_999)
            tar.add(entry)
            entry = TarBuilder.Entry("precise")
            entry.nanoseconds = 123_456_789
            tar.add(entry)
            entry = TarBuilder.Entry("future")
            entry.seconds = 6_000_000_000
            entry.pax = [("mtime", Array("6000000000.000000001".utf8))]
            tar.add(entry)
            entry = TarBuilder.Entry("past")
            entry.seconds = -1000
            tar.add(entry)
            tar.special("null", "3", major: 1, minor: 3, mode: 0o666)
            tar.special("sda", "4", major: 8, minor: 0, mode: 0o660)
            tar.special("wide", "3", major: 300, minor: 70000)
            tar.special("pipe", "6")
        }
        try Fixture().expectUnion([layer])
    }

    @Test func extendedAttributes() throws {
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let acl: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255,
            255,
            16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
        ]
        let layer = TarBuilder.layer { tar in
            var entry = TarBuilder.Entry("capable")
            entry.mode = 0o755
            entry.pax = [("SCHILY.xattr.security.capability", capability)]
            tar.add(entry)
            entry = TarBuilder.Entry("acl")
            entry.mode = 0o674
            entry.pax = [("SCHILY.xattr.system.posix_acl_access", acl)]
            tar.add(entry)
            entry = TarBuilder.Entry("dir/", "5")
            entry.mode = 0o755
            entry.pax = [
                ("SCHILY.xattr.system.posix_acl_default", acl), ("SCHILY.xattr.user.d", Array("v".utf8)),
            ]
            tar.add(entry)
            entry = TarBuilder.Entry("binary")
            entry.pax = [
                ("SCHILY.xattr.user.zero", [0, 1, 0, 0x0A, 0x3D, 0xFF, 0]), ("SCHILY.xattr.user.empty", []),
                ("SCHILY.xattr.user.long", [UInt8](repeating: 0x61, count: 2000)),
                ("SCHILY.xattr.trusted.mine", Array("kept".utf8)),
                ("SCHILY.xattr.trusted.overlay.opaque", Array("y".utf8)),
            ]
            tar.add(entry)
        }
        try Fixture().expectUnion([layer])
    }

    @Test func namesAreBytes() throws {
        let layer = TarBuilder.layer { tar in
            for raw in [[0xFF, 0xFE, 0x80], [0x1B, 0x5B, 0x32, 0x4A], [0x61, 0x0A, 0x62], [0xC3, 0xA9]]
                as [[UInt8]]
            {
                var entry = TarBuilder.Entry("")
                entry.name = raw
                entry.data = raw
                tar.add(entry)
                entry.name = raw + [UInt8](repeating: 0x78, count: 255 - raw.count)
                tar.add(entry)
                entry = TarBuilder.Entry("", "2")
                entry.name = Array("link".utf8) + raw
                entry.link = raw
                tar.add(entry)
            }
            tar.file(".wh", "no whiteout")
            tar.file(".whatever", "nor this")
            tar.file("a/./b//c", "cleaned")
            tar.file("a/x/../d", "cleaned too")
        }
        try Fixture().expectUnion([layer])
    }

    @Test func manyEntriesAndDeepDirectories() throws {
        let layer = TarBuilder.layer { tar in
            tar.directory("many")
            for index in 0..<20_000 { tar.file("many/file-\(index)", index % 100 == 0 ? "\(index)" : "") }
            var deep = "deep"
            for index in 0..<300 {
                tar.directory(deep)
                deep += "/d\(index)"
            }
            tar.file(deep, "bottom")
        }
        try Fixture().expectUnion([layer])
    }
}
