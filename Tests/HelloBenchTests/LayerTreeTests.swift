// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import hellobench

/// What overlayfs wrote, as a layer of a registry.
@Suite struct LayerTreeTests: ~Copyable {
    private let root: String
    private let commands: Commands

    init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        root = try Files.makeTemporaryDirectory(in: parent)
        commands = Commands(directory: root)
    }

    deinit { _ = try? commands.run(["rm", "-rf", root]) }

    /// A tree with an old file that has two names, a new one, a link and an empty folder.
    private func makeTree(_ name: String, reversed: Bool = false) throws -> String {
        let tree = root + "/" + name
        let files = ["b/old", "a/new", "a/z"]
        for file in reversed ? files.reversed() : files {
            let path = tree + "/" + file
            try Files.makeDirectories(String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex)))
            try Files.write(Array(file.utf8), to: path, mode: 0o640)
        }
        try Files.setTime(tree + "/b/old", seconds: 1_000_000)
        #expect(link(tree + "/b/old", tree + "/a/older") == 0)
        #expect(symlink("../b/old", tree + "/a/link") == 0)
        try Files.makeDirectories(tree + "/empty")
        return tree
    }

    private func tar(_ path: String, since start: Int, lower: Int = 0) throws -> String {
        let tree = try LayerTree(path)
        let time = try tree.settleTimes(since: start, lower: lower)
        let words = try tree.tarCommand(using: path + "-lists", time: time)
        try commands.run(["sh", "-euc", "out=$1; shift; \"$@\" >\"$out\"", "sh", path + ".tar"] + words)
        return String(try commands.run(["sha256sum", path + ".tar"]).prefix(64))
    }

    @Test func theSameTreeGivesTheSameBytesWheneverItWasMade() throws {
        let start = time(nil) - 10
        let first = try tar(try makeTree("first"), since: start)
        usleep(1_100_000)
        let second = try tar(try makeTree("second", reversed: true), since: start)
        #expect(first == second)
        let names = try commands.run(["tar", "--list", "--file", root + "/second.tar"])
        #expect(names == "a/\na/link\na/new\na/older\na/z\nb/\nb/old\nempty/\n")
    }

    @Test func whatWasMadeHasTheTimeOfTheNewestPackagedFile() throws {
        let tree = try makeTree("tree")
        #expect(try LayerTree(tree).settleTimes(since: time(nil) - 10, lower: 0) == 1_000_000)
        for name in ["a", "a/new", "a/link", "b/old", "empty"] {
            #expect(try Files.status(tree + "/" + name).st_mtim.tv_sec == 1_000_000, "\(name)")
        }
        let other = try makeTree("other")
        #expect(try LayerTree(other).settleTimes(since: time(nil) - 10, lower: 2_000_000) == 2_000_000)
        #expect(try Files.status(other + "/a/new").st_mtim.tv_sec == 2_000_000)
        #expect(
            try Files.status(other + "/b/old").st_mtim.tv_sec == 1_000_000, "a packaged file keeps its time")
    }

    @Test(.enabled(if: geteuid() == 0, "making devices and trusted attributes needs root"))
    func marksOfOverlayfsBecomeWhiteouts() throws {
        let (lower, upper) = (root + "/lower", root + "/upper")
        try Files.makeDirectories(lower + "/both")
        for name in ["both", "new"] {
            try Files.makeDirectories(upper + "/" + name)
            let set = ["setfattr", "-n", "trusted.overlay.opaque", "-v", "y", upper + "/" + name]
            try commands.run(set)
        }
        #expect(mknod(upper + "/both/gone", S_IFCHR, 0) == 0)
        let tree = try LayerTree(upper, above: [lower])
        #expect(tree.names == ["both", "new"])
        #expect(tree.whiteouts == ["both/.wh..wh..opq", "both/.wh.gone"])
        let words = try tree.tarCommand(using: root + "/lists", time: 5)
        try commands.run(["sh", "-euc", "out=$1; shift; \"$@\" >\"$out\"", "sh", root + "/l.tar"] + words)
        let names = try commands.run(["tar", "--list", "--file", root + "/l.tar"])
        #expect(names == "both/.wh..wh..opq\nboth/.wh.gone\nboth/\nnew/\n")
    }
}
