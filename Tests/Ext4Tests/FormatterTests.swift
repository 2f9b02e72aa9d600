// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Glibc
import Testing

struct FormatterTests {
    @Test func anEmptyTreeIsCleanAndHasNoLostAndFound() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        let map = try table.format(FileTree())
        #expect(map.sizeBytes == 16 << 30)
        #expect(table.metadataBytes < 2 << 20)
        try table.write(map, to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            let names = try Directories.names(in: path)
            #expect(names.isEmpty)
        }
        try expectClean(workspace.image)
    }

    @Test func theKernelSeesWhatWasPutIn() throws {
        let workspace = try Workspace()
        let sample = SampleTree()
        try sample.table.write(sample.table.format(sample.tree), to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { mountPoint in
            for (path, node) in sample.expected {
                try compare(Array((mountPoint + "/").utf8) + path, node, sample.tree)
            }
            for (path, content) in sample.contents {
                let name = mountPoint + "/" + String(decoding: path, as: UTF8.self)
                let read = try File(open: name, O_RDONLY).read(count: content.count + 1, at: 0)
                let isEqual = read == content
                #expect(isEqual, "\(name)")
            }
            let late = try File(open: mountPoint + "/late data", O_RDONLY)
            let tail = try late.read(count: 1 << 20, at: 5 << 30)
            // A comparison within the macro would print, and slowly compare, every byte of a difference.
            let isTail = tail == noise(65536, seed: 5)
            #expect(isTail)
            let hole = try late.read(count: 4096, at: 4 << 30)
            let isHole = hole == [UInt8](repeating: 0, count: 4096)
            #expect(isHole)
            let listing = try run("getfacl", "-cn", "--absolute-names", mountPoint + "/xattr 3")
            #expect(listing.contains("user:1000:r--") && listing.contains("mask::rwx"))
        }
        try expectClean(workspace.image)
    }

    private func compare(_ path: [UInt8], _ node: FileTree.NodeID, _ tree: FileTree) throws {
        let view = try KernelView(path)
        let name = String(decoding: path, as: UTF8.self)
        let attributes = tree.attributes(of: node)
        #expect(view.status.st_mode == UInt32(attributes.mode), "\(name)")
        #expect(view.status.st_uid == attributes.owner && view.status.st_gid == attributes.group, "\(name)")
        #expect(view.status.st_mtim.tv_sec == attributes.modified.seconds, "\(name)")
        #expect(view.status.st_mtim.tv_nsec == Int(attributes.modified.nanoseconds), "\(name)")
        #expect(view.status.st_ctim.tv_nsec == Int(attributes.changed.nanoseconds), "\(name)")
        #expect(view.status.st_ctim.tv_sec == attributes.changed.seconds, "\(name)")
        #expect(view.status.st_atim.tv_sec == attributes.accessed.seconds, "\(name)")
        #expect(view.status.st_atim.tv_nsec == Int(attributes.accessed.nanoseconds), "\(name)")
        let xattrs = Dictionary(uniqueKeysWithValues: attributes.xattrs.map { ($0.name, $0.value) })
        let areEqual = view.xattrs == xattrs
        #expect(areEqual, "\(name)")
        let kind = tree.kind(of: node)
        if kind != .directory {
            #expect(view.status.st_nlink == UInt(tree.linkCount(of: node)), "\(name)")
            #expect(UInt64(view.status.st_size) == tree.sizeBytes(of: node), "\(name)")
        } else {
            let names = tree.children(of: node).map(\.name).sorted { $0.lexicographicallyPrecedes($1) }
            #expect(KernelView.names(path) == names, "\(name)")
            let subdirectories = tree.children(of: node).filter { tree.kind(of: $0.node) == .directory }.count
            #expect(view.status.st_nlink == UInt(2 + subdirectories), "\(name)")
        }
        if kind == .symlink { #expect(KernelView.target(path) == Array(tree.target(of: node)), "\(name)") }
        if kind == .characterDevice || kind == .blockDevice {
            let device = tree.device(of: node)
            #expect(deviceNumbers(view.status.st_rdev) == device, "\(name)")
        }
    }

    @Test func formattingTwiceGivesTheSameDigest() throws {
        let first = SampleTree()
        let second = SampleTree()
        let one = try first.table.format(first.tree)
        let two = try second.table.format(second.tree)
        #expect(one.digest == two.digest)
    }

    @Test func whatTheRootDoesNotReachIsNotFormatted() throws {
        let workspace = try Workspace()
        let table = ChunkTable()
        var tree = FileTree()
        let directory = tree.addDirectory(FileTree.Attributes(mode: 0o755))
        let shared = tree.addFile(
            FileTree.Attributes(mode: 0o644), sizeBytes: 3, extents: table.extents(of: [1, 2, 3]))
        tree.link(directory, name: Array("gone".utf8), in: .root)
        tree.link(shared, name: Array("inside".utf8), in: directory)
        tree.link(shared, name: Array("outside".utf8), in: .root)
        #expect(tree.linkCount(of: shared) == 2)
        let removals = [1, 2].map { _ in tree.unlink(name: Array("gone".utf8), in: .root) }
        #expect(removals == [true, false])
        #expect(tree.child(named: Array("gone".utf8), in: .root) == nil)
        try table.write(table.format(tree), to: workspace.image)
        try expectClean(workspace.image)
        try workspace.mounted { path in
            #expect(KernelView.names(Array(path.utf8)) == [Array("outside".utf8)])
            let view = try KernelView(Array((path + "/outside").utf8))
            #expect(view.status.st_nlink == 1)
        }
    }
}
