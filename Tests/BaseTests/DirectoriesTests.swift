// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite struct DirectoriesTests {
    private let scratch: TemporaryDirectory
    private var root: String { scratch.path }

    init() throws {
        scratch = try TemporaryDirectory()
    }

    @Test func createMakesParentsAndMayRunTwice() throws {
        let path = root + "/a/b/c"
        try Directories.create(path)
        try Directories.create(path)
        try Directories.create(root + "/a//d/")
        #expect(try Directories.names(in: root + "/a") == ["b", "d"])
    }

    @Test func createRefusesAFileInTheWay() throws {
        let file = try scratch.file("file")
        for path in [file, file + "/below"] {
            let error = try failure { () throws(SystemError) in try Directories.create(path) }
            #expect(error.code == ENOTDIR)
        }
    }

    @Test func namesAreSorted() throws {
        for name in ["b", "a", ".hidden", "Z"] { _ = try scratch.file(name) }
        #expect(try Directories.names(in: root) == [".hidden", "Z", "a", "b"])
        let error = try failure { () throws(SystemError) in _ = try Directories.names(in: root + "/none") }
        #expect(error == SystemError(ENOENT, "opendir", root + "/none"))
    }

    @Test func removalOfWhatIsGoneIsNoError() throws {
        let none = root + "/none"
        try Directories.removeFile(none)
        try Directories.removeEmpty(none)
        try Directories.removeTree(none)
        try Directories.removeTree(none + "/deeper")
    }

    @Test func removeEmptyKeepsWhatIsNotEmpty() throws {
        _ = try scratch.file("x")
        let error = try failure { () throws(SystemError) in try Directories.removeEmpty(root) }
        #expect(error.code == ENOTEMPTY)
    }

    @Test func parents() {
        #expect(Directories.parent(of: "/a/b") == "/a")
        #expect(Directories.parent(of: "/a") == "/")
        #expect(Directories.parent(of: "a") == ".")
    }

    @Test func replaceFileLeavesNothingBeside() throws {
        let path = root + "/state"
        try Directories.replaceFile(path, with: Array("one".utf8))
        try Directories.replaceFile(path, with: Array("two".utf8))
        #expect(try scratch.text(of: "state") == "two")
        #expect(try Directories.names(in: root) == ["state"])
    }

    @Test func aFailedReplacementKeepsTheOldAndCleansUp() throws {
        // A directory with an entry cannot be renamed over.
        try Directories.create(root + "/state/inside")
        let error = try failure { () throws(SystemError) in
            try Directories.replaceFile(root + "/state", with: [1])
        }
        #expect(error.call == "rename")
        #expect(try Directories.names(in: root) == ["state"])
    }
}

@Suite struct RemoveTreeTests {
    private let scratch: TemporaryDirectory
    private var root: String { scratch.path }

    init() throws {
        scratch = try TemporaryDirectory()
    }

    @Test func removesFilesDirectoriesAndOddNames() throws {
        let tree = root + "/tree"
        try Directories.create(tree + "/a/b/c")
        _ = try scratch.file("tree/a/file")
        mkfifo(tree + "/fifo", 0o600)
        let notUTF8: [CChar] = Array((tree + "/").utf8CString.dropLast()) + [-1, -2, 0]
        #expect(mkdir(notUTF8, 0o700) == 0)
        #expect(close(creat(notUTF8.dropLast() + Array("/x".utf8CString), 0o600)) == 0)
        try Directories.removeTree(tree)
        #expect(try Directories.names(in: root) == [])
    }

    @Test func removesASingleFile() throws {
        try Directories.removeTree(try scratch.file("file"))
        #expect(try Directories.names(in: root) == [])
    }

    @Test func neverFollowsLinks() throws {
        try Directories.create(root + "/precious")
        _ = try scratch.file("precious/file", "kept")
        try Directories.create(root + "/tree")
        #expect(symlink(root + "/precious", root + "/tree/absolute") == 0)
        #expect(symlink("../precious", root + "/tree/relative") == 0)
        #expect(symlink("nowhere", root + "/tree/dangling") == 0)
        try Directories.removeTree(root + "/tree")
        #expect(symlink(root + "/precious", root + "/top") == 0)
        try Directories.removeTree(root + "/top")
        #expect(try Directories.names(in: root) == ["precious"])
        #expect(try scratch.text(of: "precious/file") == "kept")
    }

    @Test func removesDeepTrees() throws {
        var path = root + "/tree"
        for _ in 0..<200 { path += "/d" }
        try Directories.create(path)
        try Directories.removeTree(root + "/tree")
        #expect(try Directories.names(in: root) == [])
    }

    /// A tmpfs is another device; a bind mount of the same file system is not, and must be kept as well.
    @Test(.enabled(if: geteuid() == 0, "mounting takes root"), arguments: [true, false])
    func neverEntersAnotherMount(bind: Bool) throws {
        try Directories.create(root + "/elsewhere")
        let point = root + "/tree/point"
        try Directories.create(point)
        let words = bind ? ["--bind", root + "/elsewhere"] : ["-t", "tmpfs", "tmpfs"]
        try #require(try Subprocess.run(["mount"] + words + [point]).succeeded)
        defer { #expect((try? Subprocess.run(["umount", point]))?.succeeded == true) }
        _ = try scratch.file("tree/point/file", "kept")
        for tree in [root + "/tree", point] {
            let error = try failure { () throws(SystemError) in try Directories.removeTree(tree) }
            #expect(error.code == EBUSY)
            #expect(error.subject == point)
        }
        #expect(try scratch.text(of: "tree/point/file") == "kept")
    }
}
