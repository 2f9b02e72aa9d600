// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Glibc
import Testing

/// Directories, files and volumes that are large in one way or another.
struct ScaleTests {
    static let plain = FileTree.Attributes(mode: 0o755)

    @Test(arguments: [200, 100_000])
    func namesOfALargeDirectoryAreFoundThroughItsIndex(_ count: Int) throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        var tree = FileTree()
        let directory = tree.addDirectory(Self.plain)
        tree.link(directory, name: Array("d".utf8), in: .root)
        let node = tree.addFile(Self.plain, sizeBytes: 0, extents: [])
        tree.link(node, name: Array("original".utf8), in: .root)
        for index in 0..<count {
            // Long and binary names among the short ones.
            var name = Array("name-\(index)".utf8)
            if index % 7 == 0 { name += [UInt8](repeating: 0xE9, count: 255 - name.count) }
            if index % 3 == 0 {
                tree.link(tree.addFifo(Self.plain), name: name, in: directory)
            } else {
                tree.link(tree.addFile(Self.plain, sizeBytes: 0, extents: []), name: name, in: directory)
            }
        }
        try table.write(table.format(tree), to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            let base = Array((path + "/d").utf8)
            #expect(KernelView.names(base).count == count)
            for child in tree.children(of: directory) {
                var info = stat()
                let name = (base + [UInt8(ascii: "/")] + child.name).map { CChar(bitPattern: $0) } + [0]
                if lstat(name, &info) != 0 { Issue.record("\(child.name) is not found") }
            }
            for index in 0..<500 { _ = try File(open: path + "/d/new-\(index)", O_CREAT | O_WRONLY) }
        }
        try expectClean(workspace.image)
    }

    @Test func aDirectoryOfManyDirectoriesHasOneLink() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        var tree = FileTree()
        // One more than ext4 counts: 65,000 links with the directory's own two.
        let directory = tree.addDirectory(Self.plain)
        tree.link(directory, name: Array("many".utf8), in: .root)
        for index in 0..<64_999 {
            tree.link(tree.addDirectory(Self.plain), name: Array("\(index)".utf8), in: directory)
        }
        try table.write(table.format(tree), to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            let many = try KernelView(Array((path + "/many").utf8))
            #expect(many.status.st_nlink == 1)
        }
    }

    @Test func aFileInManyPiecesHasADeepExtentTree() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        let bytes = noise(4096, seed: 77)
        let chunk = try #require(table.add(bytes))
        var tree = FileTree()
        // 3: leaves in the inode; 1000: one level; 3000: two levels.
        for count in [3, 5, 1000, 3_000] {
            let extents = (0..<count).map { FileTree.FileExtent(fileBlock: UInt32($0 * 2), chunk: chunk) }
            let node = tree.addFile(Self.plain, sizeBytes: UInt64(count) * 8192, extents: extents)
            tree.link(node, name: Array("pieces \(count)".utf8), in: .root)
        }
        try table.write(table.format(tree), to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            let file = try File(open: path + "/pieces 3000", O_RDONLY)
            for index in stride(from: 0, to: 3_000, by: 97) {
                let read = try file.read(count: 8192, at: UInt64(index) * 8192)
                let isEqual = read == bytes + [UInt8](repeating: 0, count: 4096)
                #expect(isEqual, "piece \(index)")
            }
            try run("truncate", "-s", "10M", path + "/pieces 3000")
        }
        try expectClean(workspace.image)
    }

    @Test func aFileOfManyGroupsStepsOverTheirMetadata() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        let bytes = noise(65536, seed: 78)
        let chunk = try #require(table.add(bytes))
        var tree = FileTree()
        // 768 MiB of one chunk again and again; some lie across a group's metadata and are cut.
        let extents = (0..<12_288).map { FileTree.FileExtent(fileBlock: UInt32($0 * 16), chunk: chunk) }
        tree.link(
            tree.addFile(Self.plain, sizeBytes: 768 << 20, extents: extents), name: Array("big".utf8),
            in: .root
        )
        let map = try table.format(tree)
        try table.write(map, to: workspace.image)
        try expectClean(workspace.image)
        let listing = try run("debugfs", "-R", "stat /big", workspace.image)
        #expect(listing.contains("EXTENTS"))
        try workspace.mounted { path in
            let file = try File(open: path + "/big", O_RDONLY)
            for index in 0..<12_288 where try file.read(count: 65536, at: UInt64(index) << 16) != bytes {
                Issue.record("chunk \(index) differs")
                break
            }
        }
    }

    @Test func aMountedVolumeTakesWritesAndStaysClean() throws {
        let workspace = try Workspace()
        let sample = SampleTree()
        var options = FormatOptions()
        options.sizeBytes = 2 << 30
        try sample.table.write(sample.table.format(sample.tree, options), to: workspace.image)
        try workspace.mounted { path in
            for index in 0..<10_000 {
                let file = try File(open: path + "/directory/new-\(index)", O_CREAT | O_WRONLY)
                try file.write([1, 2, 3], at: UInt64(index))
            }
            for index in 0..<5_000 { try Directories.removeFile(path + "/directory/new-\(index * 2)") }
            try run("setfattr", "-n", "user.new", "-v", "value", path + "/xattr 2")
            try run("rm", "-r", path + "/names")
            try run("dd", "if=/dev/urandom", "of=" + path + "/odd", "bs=1M", "count=300", "status=none")
        }
        try expectClean(workspace.image)
    }

    @Test func resizeGrowsAndShrinks() throws {
        let workspace = try Workspace()
        let sample = SampleTree()
        try sample.table.write(sample.table.format(sample.tree), to: workspace.image)
        for size in ["64G", "2G", "1000G"] {
            if size != "2G" { try run("truncate", "-s", size, workspace.image) }
            try run("resize2fs", "-f", workspace.image, size)
            try expectClean(workspace.image)
        }
    }

    @Test(arguments: [32 << 20, 100 << 20, 128 << 20 | 4096, 1 << 30, 2_150_000_000 / 4096 * 4096, 1 << 40])
    func anySizeIsClean(_ size: Int) throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        var tree = FileTree()
        tree.link(
            tree.addFile(Self.plain, sizeBytes: 5, extents: table.extents(of: [1, 2, 3, 4, 5])),
            name: Array("file".utf8), in: .root)
        let map = try table.format(tree, FormatOptions(sizeBytes: UInt64(size), journalBytes: 4 << 20))
        #expect(map.sizeBytes == UInt64(size))
        try table.write(map, to: workspace.image)
        try expectClean(workspace.image)
        #expect(table.metadataBytes < 32 << 20)
    }
}
