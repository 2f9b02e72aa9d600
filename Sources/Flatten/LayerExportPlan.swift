// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// What goes into a layer, in the order in which it is written: directories before their names, names sorted.
struct ExportPlan {
    struct Node {
        /// Index of the directory that it lies in; -1 for the root.
        let parent: Int
        let name: [UInt8]
        /// The inode in the top tree.
        let number: UInt32
        let kind: FileKind
        let linkCount: UInt16
        /// The inode that the base has under this name, 0 for none, and that one's links.
        let old: UInt32
        let oldLinkCount: UInt16
        /// The base has the same under this name, other names of the inode aside.
        let isSame: Bool
        /// Names of a directory that the base has and the top tree has not.
        var removed: [[UInt8]] = []
        /// All names of the base's directory are gone.
        var isOpaque = false
        var isWritten = false
        /// The node that has the content, for a further name of one inode.
        var link: Int?
    }

    var nodes: [Node] = []
    var skippedSockets: UInt64 = 0

    /// Compares the trees.
    static func make(
        base: ExportTree?, top: ExportTree, isDescendant: Bool, isCancelled: @escaping () -> Bool
    ) throws(FlattenError) -> ExportPlan {
        var scope: ExportScope?
        if isDescendant, let base { scope = try ExportScope(base, top) }
        var walk = TreeComparison(base, top, scope, isCancelled)
        try walk.run()
        guard var wider = scope else { return walk.plan }
        // Names of changed inodes that lie in directories without a change: only a walk finds them.
        let missing = try walk.incompleteInodes()
        if missing.isEmpty { return walk.plan }
        wider.inodes.formUnion(missing)
        wider.directories = nil
        walk = TreeComparison(base, top, wider, isCancelled)
        try walk.run()
        return walk.plan
    }

    /// The names of a node, from the root on; the root has none.
    func path(of index: Int) -> [UInt8] {
        var parts: [[UInt8]] = []
        var node = nodes[index]
        while node.parent >= 0 {
            parts.append(node.name)
            node = nodes[node.parent]
        }
        return Array(parts.reversed().joined(separator: [UInt8(ascii: "/")]))
    }

    // MARK: Deciding

    /// Decides what is written, once all nodes are there.
    ///
    /// Names of one inode stay together: an engine parts a link from its inode when it replaces it, and makes
    /// links inside one layer only. So an inode is written with all its names, or not at all.
    /// - Parameter isDescendant: inodes of the two trees have the same numbers.
    mutating func decide(isDescendant: Bool) {
        var groups: [UInt32: [Int]] = [:]
        var order: [UInt32] = []
        for (index, node) in nodes.enumerated() {
            if node.kind == .directory {
                nodes[index].isWritten = !node.isSame || !node.removed.isEmpty || node.isOpaque
                continue
            }
            if groups[node.number] == nil { order.append(node.number) }
            groups[node.number, default: []].append(index)
        }
        var claimed: Set<UInt32> = []
        for number in order {
            guard let group = groups[number], let first = group.first else { continue }
            if isKept(group, isDescendant: isDescendant, &claimed) { continue }
            for index in group {
                nodes[index].isWritten = true
                if index != first { nodes[index].link = first }
            }
        }
        // A directory in which something changed is written too: some engines would make it anew, with other
        // attributes, and all would change its time.
        for index in nodes.indices.reversed() where nodes[index].isWritten && nodes[index].parent >= 0 {
            nodes[nodes[index].parent].isWritten = true
        }
    }

    /// Whether the names of one inode are those of one inode of the base, which no other inode has taken.
    private func isKept(_ group: [Int], isDescendant: Bool, _ claimed: inout Set<UInt32>) -> Bool {
        let old = nodes[group[0]].old
        guard group.allSatisfy({ nodes[$0].isSame && nodes[$0].old == old }) else { return false }
        // What was not walked keeps its inode's number; so another inode cannot have taken it there.
        if isDescendant { return nodes[group[0]].number == old || nodes[group[0]].oldLinkCount == 1 }
        return claimed.insert(old).inserted
    }
}

/// What has to be looked at when the top tree is a later state of the base's file system.
struct ExportScope {
    /// Inodes in use that changed.
    var inodes: Set<UInt32>
    /// Directories on the way to a changed one; nil: all.
    var directories: Set<UInt32>?
    let changed: BlockSet

    /// nil when blocks do not tell: without maps, or where the file systems have nothing in common.
    init?(_ base: ExportTree, _ top: ExportTree) throws(FlattenError) {
        guard let map = top.map, let old = base.map else { return nil }
        let changed = map.blocks(changedSince: old)
        let numbers: [UInt32]? = try base.read { earlier in
            try top.read {
                $0.hasLayout(of: earlier) ? try $0.inodes(changedSince: earlier, in: changed) : nil
            }
        }
        guard let numbers else { return nil }
        self.changed = changed
        inodes = Set(numbers)
        directories = try Self.ancestors(of: numbers, in: top)
    }

    private static func ancestors(
        of numbers: [UInt32], in top: ExportTree
    ) throws(FlattenError) -> Set<UInt32> {
        var found: Set<UInt32> = []
        for number in numbers {
            var inode = try top.inode(number)
            guard inode.kind == .directory else { continue }
            // A directory that has its own parent ends the way up, as one that was there already does.
            while found.insert(inode.number).inserted {
                let directory = inode
                inode = try top.inode(try top.read { try $0.parent(of: directory) })
            }
        }
        return found
    }
}
