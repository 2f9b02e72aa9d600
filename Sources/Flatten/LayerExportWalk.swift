// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// Walks two trees side by side, by names, and notes what differs.
struct TreeComparison {
    private struct Item {
        let parent: Int
        let name: [UInt8]
        let number: UInt32
        let kind: FileKind?
        /// The inode that the base has under this name; 0 for none.
        let old: UInt32
        let level: Int
    }

    private static let levelLimit = 4096
    private static let rootInode: UInt32 = 2

    private let base: ExportTree?
    private let top: ExportTree
    private let scope: ExportScope?
    private let isCancelled: () -> Bool
    private(set) var plan = ExportPlan()
    private var waiting: [Item] = []
    private var seen: Set<UInt32> = []
    /// Names found of the inodes in scope.
    private var found: [UInt32: UInt32] = [:]

    init(
        _ base: ExportTree?, _ top: ExportTree, _ scope: ExportScope?, _ isCancelled: @escaping () -> Bool
    ) {
        (self.base, self.top, self.scope, self.isCancelled) = (base, top, scope, isCancelled)
    }

    mutating func run() throws(FlattenError) {
        let old = base == nil ? 0 : Self.rootInode
        waiting = [
            Item(parent: -1, name: [], number: Self.rootInode, kind: .directory, old: old, level: 0)
        ]
        while let item = waiting.popLast() {
            if isCancelled() { throw .cancelled }
            if !isOutOfScope(item) { try visit(item) }
        }
        plan.decide(isDescendant: scope != nil)
    }

    /// Inodes of which there are names that the walk has not come to, but should have.
    func incompleteInodes() throws(FlattenError) -> Set<UInt32> {
        guard let scope, scope.directories != nil else { return [] }
        var missing: Set<UInt32> = []
        for number in scope.inodes {
            let inode = try top.inode(number)
            if inode.kind != .directory, found[number, default: 0] < UInt32(inode.linkCount) {
                missing.insert(number)
            }
        }
        for node in plan.nodes where node.isWritten && node.kind != .directory && node.linkCount > 1 {
            if found[node.number, default: 0] < UInt32(node.linkCount) { missing.insert(node.number) }
        }
        return missing
    }

    private func isOutOfScope(_ item: Item) -> Bool {
        guard let scope, item.number == item.old, !scope.inodes.contains(item.number), let kind = item.kind
        else { return false }
        if kind != .directory { return true }
        return scope.directories.map { !$0.contains(item.number) } ?? false
    }

    private mutating func visit(_ item: Item) throws(FlattenError) {
        let inode = try top.inode(item.number)
        let old = item.old == 0 ? nil : try base?.inode(item.old)
        if inode.kind == .directory { return try visitDirectory(item, inode, old) }
        found[item.number, default: 0] += 1
        if inode.kind == .socket {
            plan.skippedSockets += 1
            if let old, old.kind != .socket { plan.nodes[item.parent].removed.append(item.name) }
            return
        }
        let isSame = try isSameFile(inode, old)
        // What has one name and is as it was needs no further thought.
        if isSame, inode.linkCount <= 1, old?.linkCount ?? 0 <= 1 { return }
        append(item, inode, old, isSame)
    }

    private mutating func append(_ item: Item, _ inode: Inode, _ old: Inode?, _ isSame: Bool) {
        plan.nodes.append(
            ExportPlan.Node(
                parent: item.parent, name: item.name, number: item.number, kind: inode.kind,
                linkCount: inode.linkCount, old: item.old, oldLinkCount: old?.linkCount ?? 0, isSame: isSame))
    }

    private mutating func visitDirectory(
        _ item: Item, _ inode: Inode, _ old: Inode?
    ) throws(FlattenError) {
        guard seen.insert(item.number).inserted, item.level < Self.levelLimit else {
            let reason = "directory \(item.number) has two names, or lies too deep; run e2fsck on it"
            throw .tree(top.name, reason: reason)
        }
        let previous = old?.kind == .directory ? old : nil
        let isSame = if let previous { try hasSameAttributes(inode, previous) } else { false }
        let index = plan.nodes.count
        append(item, inode, old, isSame)
        let entries = try top.read { try $0.entries(of: inode) }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        var before: [[UInt8]: UInt32] = [:]
        for entry in try oldEntries(previous, inode, entries) { before[entry.name] = entry.inode }
        let oldCount = before.count
        for entry in entries.reversed() {
            let old = before.removeValue(forKey: entry.name) ?? 0
            waiting.append(
                Item(
                    parent: index, name: entry.name, number: entry.inode, kind: entry.kind, old: old,
                    level: item.level + 1))
        }
        if oldCount > 1, before.count == oldCount {
            plan.nodes[index].isOpaque = true
        } else {
            plan.nodes[index].removed = before.keys.sorted { $0.lexicographicallyPrecedes($1) }
        }
    }

    /// The names in the base's directory, which need not be read where it is known not to have changed.
    private func oldEntries(
        _ old: Inode?, _ inode: Inode, _ entries: [DirectoryEntry]
    ) throws(FlattenError) -> [DirectoryEntry] {
        guard let old, let base else { return [] }
        if let scope, old.number == inode.number, !scope.inodes.contains(inode.number) { return entries }
        return try base.read { try $0.entries(of: old) }
    }

    // MARK: Comparing

    /// Access and change time are not part of a layer.
    private func hasSameAttributes(_ inode: Inode, _ old: Inode) throws(FlattenError) -> Bool {
        guard let base, inode.mode == old.mode, inode.owner == old.owner, inode.group == old.group,
            inode.modified == old.modified
        else { return false }
        return try top.xattrs(of: inode) == base.xattrs(of: old)
    }

    private func isSameFile(_ inode: Inode, _ old: Inode?) throws(FlattenError) -> Bool {
        guard let base, let old, inode.kind == old.kind, inode.sizeBytes == old.sizeBytes,
            inode.device == old.device, try hasSameAttributes(inode, old)
        else { return false }
        switch inode.kind {
        case .symlink:
            return try top.read { try $0.target(of: inode) } == base.read { try $0.target(of: old) }
        case .file:
            return try ContentComparison(top: top, base: base, changed: scope?.changed).isSame(inode, old)
        default: return true
        }
    }
}
