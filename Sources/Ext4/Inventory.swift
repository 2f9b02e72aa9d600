// SPDX-License-Identifier: Apache-2.0

import Blocks

/// What of a tree is formatted, under which inode numbers, and how many blocks it needs.
struct Inventory {
    /// Inode number by node index; 0 for what the root does not reach.
    private(set) var inodes: [UInt32]
    /// Node index of inode 11 and those that follow, in arena order; the root stands apart.
    private(set) var order: [UInt32] = []
    /// Link count as the inode has it, by node index.
    private(set) var links: [UInt32]
    /// Node index of a directory's parent; meaningless for others.
    private(set) var parents: [UInt32]
    /// Blocks of the directories that need more than one.
    private(set) var largeDirectories: [UInt32: UInt32] = [:]
    /// Nodes that need an attribute block.
    private(set) var spilled: Set<UInt32> = []
    /// Blocks of directories, files, links' targets and attributes.
    private(set) var contentBlocks: UInt64 = 0

    /// The highest inode number in use.
    var lastInode: UInt32 { Layout.firstInode - 1 + UInt32(order.count) }

    init(_ tree: FileTree) throws(Ext4Error) {
        inodes = [UInt32](repeating: 0, count: tree.nodeCount)
        links = [UInt32](repeating: 0, count: tree.nodeCount)
        parents = [UInt32](repeating: 0, count: tree.nodeCount)
        walk(tree)
        inodes[0] = Layout.rootInode
        for node in 1..<max(1, tree.nodeCount) where links[node] > 0 {
            if order.count >= Int(UInt32.max - Layout.firstInode) { throw .invalidOptions("too many files") }
            inodes[node] = Layout.firstInode + UInt32(order.count)
            order.append(UInt32(node))
        }
        try count(0, tree)
        for node in order { try count(node, tree) }
    }

    /// Blocks of a directory.
    func directoryBlocks(_ node: UInt32) -> UInt32 { largeDirectories[node] ?? 1 }

    /// Finds what the root reaches and counts the links that are reached.
    private mutating func walk(_ tree: FileTree) {
        var waiting: [UInt32] = [0]
        links[0] = 2
        while let directory = waiting.popLast() {
            tree.forEachEntry(in: FileTree.NodeID(index: directory)) { entry in
                let child = Int(entry.node)
                guard tree.nodes[child].kind == .directory else {
                    links[child] += 1
                    return
                }
                links[child] = 2
                links[Int(directory)] += 1
                parents[child] = directory
                waiting.append(entry.node)
            }
        }
    }

    private mutating func count(_ node: UInt32, _ tree: FileTree) throws(Ext4Error) {
        let id = FileTree.NodeID(index: node)
        let record = tree.nodes[Int(node)]
        switch record.kind {
        case .directory: try countDirectory(node, tree)
        case .file:
            if record.sizeBytes > UInt64(UInt32.max) * UInt64(Block.bytes) {
                throw Self.unsupported(id, tree, "it is larger than 16 TiB")
            }
            for extent in tree.extents[record.extentRange] {
                contentBlocks += UInt64(extent.chunk.blockCount)
            }
        case .symlink: contentBlocks += record.sizeBytes < 60 ? 0 : 1
        case .characterDevice, .blockDevice, .fifo, .socket: break
        }
        if links[Int(node)] > Layout.maximumLinks {
            guard record.kind == .directory else {
                throw Self.unsupported(
                    id, tree, "it has \(links[Int(node)]) links of at most \(Layout.maximumLinks)")
            }
            // Feature dir_nlink: one link means that nobody counts them.
            links[Int(node)] = 1
        }
        if record.xattrSet == 0 { return }
        if try Self.xattrs(of: id, tree).needsBlock {
            spilled.insert(node)
            contentBlocks += 1
        }
    }

    private mutating func countDirectory(_ node: UInt32, _ tree: FileTree) throws(Ext4Error) {
        let id = FileTree.NodeID(index: node)
        var bytes = DirectoryLayout.dotsBytes
        tree.forEachEntry(in: id) { bytes += DirectoryLayout.recordBytes(Int($0.nameCount)) }
        contentBlocks += 1
        if bytes <= DirectoryLayout.leafBytes { return }
        let layout = DirectoryLayout(tree, id)
        if !layout.isWithinLimits {
            throw Self.unsupported(id, tree, "its \(layout.items.count) names are too many for one directory")
        }
        largeDirectories[node] = UInt32(layout.blockCount)
        contentBlocks += UInt64(layout.blockCount - 1)
    }

    /// The place of a node's attributes, or an error that names the file.
    static func xattrs(of node: FileTree.NodeID, _ tree: FileTree) throws(Ext4Error) -> XattrLayout {
        do {
            return try XattrLayout(tree.xattrSets[Int(tree.nodes[Int(node.index)].xattrSet)])
        } catch {
            throw unsupported(node, tree, error.reason)
        }
    }

    private static func unsupported(_ node: FileTree.NodeID, _ tree: FileTree, _ reason: String) -> Ext4Error
    {
        .unsupportedFile(path: Ext4Error.printable(tree.path(of: node)), reason: reason)
    }
}
