// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Glibc
import Testing

/// A volume in memory: the map, the chunks, and perhaps one damaged byte.
struct MemoryVolume: BlockReader {
    let blocks: [UInt32: [UInt8]]

    init(_ map: BlockMap, _ table: ChunkTable) {
        var blocks: [UInt32: [UInt8]] = [:]
        for extent in map.extents {
            guard let bytes = table.chunks[map.chunks[Int(extent.chunk)]] else { continue }
            for index in 0..<UInt32(extent.count) {
                let start = (Int(extent.offset) + Int(index)) * Block.bytes
                blocks[extent.start + index] = Array(bytes[start..<start + Block.bytes])
            }
        }
        self.blocks = blocks
    }

    init(blocks: [UInt32: [UInt8]]) {
        self.blocks = blocks
    }

    func read(block: UInt32) throws -> [UInt8] {
        blocks[block] ?? [UInt8](repeating: 0, count: Block.bytes)
    }
}

/// A volume in a file.
struct FileVolume: BlockReader {
    let file: File

    init(_ path: String) throws {
        file = try File(open: path, O_RDONLY)
    }

    func read(block: UInt32) throws -> [UInt8] {
        try file.read(count: Block.bytes, at: UInt64(block) * UInt64(Block.bytes))
    }
}

struct ReaderTests {
    @Test func theReaderSeesWhatWasPutIn() throws {
        let sample = SampleTree()
        let map = try sample.table.format(sample.tree)
        let reader = try Reader(MemoryVolume(map, sample.table))
        var seen = 0
        try reader.walk { path, inode in
            guard let node = sample.expected[path] else {
                #expect(path.isEmpty)
                return
            }
            seen += 1
            try compare(inode, node, sample.tree, reader)
        }
        #expect(seen == sample.expected.count)
        for (path, content) in sample.contents {
            let read = try reader.read(reader.lookup(path), at: 0, count: content.count + 1)
            let isEqual = read == content
            #expect(isEqual)
        }
        #expect(throws: Ext4Error.notFound(path: "/odd/x")) { try reader.lookup(Array("odd/x".utf8)) }
    }

    private func compare(_ inode: Inode, _ node: FileTree.NodeID, _ tree: FileTree, _ reader: Reader) throws {
        let attributes = tree.attributes(of: node)
        #expect(inode.mode == attributes.mode)
        #expect(inode.owner == attributes.owner && inode.group == attributes.group)
        #expect(inode.modified == attributes.modified && inode.accessed == attributes.accessed)
        #expect(inode.changed == attributes.changed)
        let device = tree.device(of: node)
        #expect(inode.device == device)
        let found = try Set(reader.xattrs(of: inode))
        #expect(found == Set(attributes.xattrs))
        if inode.kind == .symlink {
            let target = try reader.target(of: inode)
            #expect(target == Array(tree.target(of: node)))
        }
        if inode.kind != .directory { #expect(inode.sizeBytes == tree.sizeBytes(of: node)) }
    }

    @Test func whatTheKernelWroteIsReadBack() throws {
        let workspace = try Workspace()
        let sample = SampleTree()
        try sample.table.write(sample.table.format(sample.tree), to: workspace.image)
        let content = noise(3_000_001, seed: 11)
        try workspace.mounted { path in
            try File(open: path + "/new", O_CREAT | O_WRONLY).write(content, at: 0)
            try run("mkdir", path + "/many")
            for index in 0..<2000 { _ = try File(open: path + "/many/name \(index)", O_CREAT | O_WRONLY) }
            try run("setfattr", "-n", "user.k", "-v", "v", path + "/many")
            try run("ln", "-s", "/target/of/link", path + "/new link")
        }
        let reader = try Reader(FileVolume(workspace.image))
        let read = try reader.read(reader.lookup(Array("new".utf8)), at: 0, count: content.count)
        let isEqual = read == content
        #expect(isEqual)
        let many = try reader.lookup(Array("many".utf8))
        let names = try reader.entries(of: many).count
        let xattrs = try reader.xattrs(of: many)
        #expect(names == 2000 && xattrs == [Xattr(name: Array("user.k".utf8), value: Array("v".utf8))])
        let target = try reader.target(of: reader.lookup(Array("new link".utf8)))
        #expect(target == Array("/target/of/link".utf8))
    }

    @Test func blocksAreTracedToTheirFiles() throws {
        let sample = SampleTree()
        let reader = try Reader(MemoryVolume(sample.table.format(sample.tree), sample.table))
        let owners = try BlockOwners(reader)
        for run in try reader.runs(of: reader.lookup(Array("odd".utf8))) {
            #expect(owners.path(of: run.start) == Array("odd".utf8))
            #expect(owners.path(of: run.start + run.count - 1) == Array("odd".utf8))
        }
        #expect(owners.path(of: 0) == nil)
    }

    @Test func damagedMetadataIsAnErrorAndNeverATrap() throws {
        let sample = SampleTree()
        let map = try sample.table.format(sample.tree, FormatOptions(sizeBytes: 256 << 20))
        let volume = MemoryVolume(map, sample.table)
        let places = volume.blocks.keys.sorted()
        var state: UInt64 = 0x1234_5678
        var failures = 0
        for _ in 0..<300 {
            var blocks = volume.blocks
            for _ in 0..<8 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                // Metadata lies in front of the data.
                let place = places[Int(state >> 33) % min(places.count, 400)]
                blocks[place]?[Int(state >> 13) & 4095] = UInt8(truncatingIfNeeded: state >> 40)
            }
            do {
                let reader = try Reader(MemoryVolume(blocks: blocks))
                try reader.walk { _, inode in
                    _ = try reader.runs(of: inode)
                    _ = try reader.xattrs(of: inode)
                    if inode.kind == .symlink { _ = try reader.target(of: inode) }
                    _ = try reader.read(inode, at: 0, count: 1 << 16)
                }
            } catch is Ext4Error {
                failures += 1
            }
        }
        #expect(failures > 0)
    }
}
