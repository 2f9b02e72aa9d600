// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Writes all metadata of a planned file system, and points the file's blocks at their chunks.
struct MetadataWriter {
    let tree: FileTree
    let inventory: Inventory
    let placement: Placement
    let options: FormatOptions
    let seed: ChecksumSeed
    var sink: MetadataSink

    var geometry: Geometry { placement.geometry }

    init(
        _ tree: FileTree, _ inventory: Inventory, _ placement: Placement, _ options: FormatOptions,
        _ store: @escaping ([UInt8]) throws -> ChunkDescriptor?
    ) {
        self.tree = tree
        self.inventory = inventory
        self.placement = placement
        self.options = options
        seed = ChecksumSeed(uuid: options.uuid)
        // The map is as long as was asked for, even when the file system leaves out a short last group.
        let blocks =
            options.sizeBytes.map { UInt32($0 / UInt64(Block.bytes)) } ?? placement.geometry.blockCount
        sink = MetadataSink(blockCount: blocks, store: store)
    }

    consuming func finish() -> BlockMap { sink.map.finish() }

    mutating func write() throws {
        let groups = try writeBitmaps()
        try writeDescriptors(groups)
        try writeInodes()
        try sink.put(
            Journal.superblock(blocks: placement.journalBlocks, uuid: options.uuid), at: placement.journal)
        try sink.flush()
        try sink.put(resize.indirectBlock(), at: placement.resize)
        try sink.flush()
        try writeDirectories()
        try writeTargets()
        try writeAttributes()
        try writeBranches()
        mapFiles()
    }

    var resize: ResizeInode { ResizeInode(geometry: geometry, place: placement.resize) }

    private mutating func writeDirectories() throws {
        try writeDirectory(0)
        for node in inventory.order where tree.nodes[Int(node)].kind == .directory {
            try writeDirectory(node)
        }
        try sink.flush()
    }

    private mutating func writeDirectory(_ node: UInt32) throws {
        let inodes = inventory.inodes
        let nodes = tree.nodes
        let encoder = DirectoryEncoder(
            layout: DirectoryLayout(tree, FileTree.NodeID(index: node)), names: tree.names,
            inode: inodes[Int(node)], parent: inodes[Int(inventory.parents[Int(node)])],
            seed: seed.inode(inodes[Int(node)]),
            target: { (inodes[Int($0)], nodes[Int($0)].kind) })
        var index = 0
        try geometry.forEachRun(
            from: placement.content[Int(node)], count: inventory.directoryBlocks(node)
        ) { range in
            for block in range.start..<range.end {
                try sink.put(encoder.block(index), at: block)
                index += 1
            }
        }
    }

    private mutating func writeTargets() throws {
        for node in inventory.order where tree.nodes[Int(node)].hasTargetBlock {
            let target = Array(tree.target(of: FileTree.NodeID(index: node)))
            try sink.put(
                target + [UInt8](zeros: Block.bytes - target.count), at: placement.content[Int(node)])
        }
        try sink.flush()
    }

    private mutating func writeAttributes() throws {
        for node in inventory.spilled.sorted() {
            guard let place = placement.attributes[node] else { continue }
            let layout = try Inventory.xattrs(of: FileTree.NodeID(index: node), tree)
            try sink.put(layout.block(at: place, seed: seed), at: place)
        }
        try sink.flush()
    }

    private mutating func writeBranches() throws {
        for node in placement.branches.keys.sorted() {
            let branches = extentTree(of: node)
            for (bytes, place) in zip(branches.tree.blocks, branches.places) {
                try sink.put(bytes, at: place)
            }
        }
        try sink.flush()
    }

    /// The extent tree of a node's content, with the places of its branches.
    func extentTree(of node: UInt32) -> (tree: ExtentTree, places: [UInt32]) {
        let extents = placement.extents(of: node, tree, inventory)
        let count = ExtentTree.levels(forExtents: extents.count).reduce(0, +)
        let places = placement.branches[node].map { placement.blocks(from: $0, count: count) } ?? []
        return (ExtentTree(extents, places: places, seed: seed.inode(inventory.inodes[Int(node)])), places)
    }

    /// Points the blocks of every file at its chunks; a chunk may be cut by fixed metadata.
    private mutating func mapFiles() {
        for node in inventory.order
        where tree.nodes[Int(node)].kind == .file && placement.content[Int(node)] != 0 {
            let chunks = tree.extents[tree.nodes[Int(node)].extentRange]
            let total = chunks.reduce(0) { $0 + UInt32($1.chunk.blockCount) }
            var index = chunks.startIndex
            var done: UInt8 = 0
            geometry.forEachRun(from: placement.content[Int(node)], count: total) { range in
                var start = range.start
                while start < range.end {
                    let chunk = chunks[index].chunk
                    let count = UInt8(min(UInt32(chunk.blockCount - done), range.end - start))
                    sink.map(start: start, chunk: chunk, offset: done, count: count)
                    start += UInt32(count)
                    done += count
                    if done == chunk.blockCount {
                        index += 1
                        done = 0
                    }
                }
            }
        }
    }
}
