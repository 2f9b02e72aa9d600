// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Which blocks everything gets: journal, directories, links' targets, attributes, files in arena order, and
/// last the branches of extent trees.
///
/// No free block lies below the last one in use.
struct Placement {
    let geometry: Geometry
    let journalBlocks: UInt32
    let journal: UInt32
    /// The one indirect block of the resize inode.
    let resize: UInt32
    /// First block of the content by node index; 0 for none.
    private(set) var content: [UInt32]
    private(set) var attributes: [UInt32: UInt32] = [:]
    private(set) var branches: [UInt32: UInt32] = [:]
    /// The block after the last one in use, fixed metadata apart.
    private(set) var end: UInt32 = 0

    init(
        _ tree: FileTree, _ inventory: Inventory, _ geometry: Geometry, journalBlocks: UInt32
    ) throws(Ext4Error) {
        var space = SpaceCursor(geometry)
        self.geometry = geometry
        self.journalBlocks = journalBlocks
        journal = space.take(UInt64(journalBlocks))
        resize = space.take(1)
        content = [UInt32](repeating: 0, count: tree.nodeCount)
        content[0] = space.take(UInt64(inventory.directoryBlocks(0)))
        for node in inventory.order where tree.nodes[Int(node)].kind == .directory {
            content[Int(node)] = space.take(UInt64(inventory.directoryBlocks(node)))
        }
        for node in inventory.order where tree.nodes[Int(node)].hasTargetBlock {
            content[Int(node)] = space.take(1)
        }
        for node in inventory.spilled.sorted() { attributes[node] = space.take(1) }
        for node in inventory.order where tree.nodes[Int(node)].kind == .file {
            let range = tree.nodes[Int(node)].extentRange
            content[Int(node)] = space.take(
                tree.extents[range].reduce(0) { $0 + UInt64($1.chunk.blockCount) })
        }
        end = space.next
        try Self.check(space)
        try placeBranches(tree, inventory, &space)
        end = space.next
        try Self.check(space)
    }

    private static func check(_ space: SpaceCursor) throws(Ext4Error) {
        if space.missing == 0 { return }
        let size = UInt64(space.geometry.blockCount)
        throw .doesNotFit(
            neededBytes: (size + space.missing) * UInt64(Block.bytes), sizeBytes: size * UInt64(Block.bytes))
    }

    private mutating func placeBranches(
        _ tree: FileTree, _ inventory: Inventory, _ space: inout SpaceCursor
    ) throws(Ext4Error) {
        for node in [0] + inventory.order where content[Int(node)] != 0 {
            let count = extents(of: node, tree, inventory).count
            let blocks = ExtentTree.levels(forExtents: count).reduce(0, +)
            if blocks > 0 { branches[node] = space.take(UInt64(blocks)) }
        }
    }

    /// The extents of a node's content, as its inode has them.
    func extents(of node: UInt32, _ tree: FileTree, _ inventory: Inventory) -> [PlacedExtent] {
        let record = tree.nodes[Int(node)]
        let first = content[Int(node)]
        guard first != 0 else { return [] }
        switch record.kind {
        case .directory: return extents(from: first, [(0, inventory.directoryBlocks(node))])
        case .symlink: return extents(from: first, [(0, 1)])
        case .file:
            var runs: [(fileBlock: UInt32, count: UInt32)] = []
            for extent in tree.extents[record.extentRange] {
                let count = UInt32(extent.chunk.blockCount)
                if let last = runs.last, last.fileBlock + last.count == extent.fileBlock {
                    runs[runs.count - 1].count += count
                } else {
                    runs.append((extent.fileBlock, count))
                }
            }
            return extents(from: first, runs)
        case .characterDevice, .blockDevice, .fifo, .socket: return []
        }
    }

    /// Extents of runs of a file whose blocks were taken together.
    func extents(from first: UInt32, _ runs: [(fileBlock: UInt32, count: UInt32)]) -> [PlacedExtent] {
        let total = runs.reduce(0) { $0 + $1.count }
        var result: [PlacedExtent] = []
        var index = 0
        var done: UInt32 = 0
        geometry.forEachRun(from: first, count: total) { range in
            var start = range.start
            while start < range.end {
                let run = runs[index]
                let count = min(run.count - done, range.end - start, Layout.maximumExtentBlocks)
                result.append(PlacedExtent(fileBlock: run.fileBlock + done, start: start, count: count))
                start += count
                done += count
                if done == run.count {
                    index += 1
                    done = 0
                }
            }
        }
        return result
    }

    /// The single blocks of a run, one by one.
    func blocks(from first: UInt32, count: Int) -> [UInt32] {
        var blocks: [UInt32] = []
        geometry.forEachRun(from: first, count: UInt32(count)) {
            blocks.append(contentsOf: $0.start..<$0.end)
        }
        return blocks
    }

    /// Blocks at the head of a group that are in use; those behind them are free.
    func usedBlocks(of group: Int) -> UInt32 {
        let range = geometry.blocks(of: group)
        let used = min(max(end, range.start), range.end) - range.start
        let fixed = geometry.fixed(of: group)
        return max(used, fixed)
    }
}

extension Geometry {
    /// Blocks of fixed metadata at the head of a group.
    func fixed(of group: Int) -> UInt32 {
        let start = blocks(of: group).start
        var low = 0
        var high = fixed.count
        while low < high {
            let middle = (low + high) / 2
            if fixed[middle].start < start { low = middle + 1 } else { high = middle }
        }
        return low < fixed.count && fixed[low].start == start ? fixed[low].count : 0
    }
}

extension FileTree.Node {
    /// Whether the node is a symbolic link whose target has no room in the inode.
    var hasTargetBlock: Bool { kind == .symlink && sizeBytes >= 60 }
}
