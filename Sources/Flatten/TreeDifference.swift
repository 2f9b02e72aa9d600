// SPDX-License-Identifier: Apache-2.0

import Blocks
public import Ext4

/// One name that two trees do not have in common, or under which they have different files.
public struct TreeChange: Sendable, Equatable {
    public enum Kind: String, Sendable {
        case added, changed, removed
    }

    /// In what respect a changed file is another.
    public enum Aspect: String, Sendable, CaseIterable {
        case type, content, mode, owner, time, attributes
    }

    public let kind: Kind
    /// Without a leading slash; need not be UTF-8.
    public let path: [UInt8]
    /// As the later tree has it, or the earlier one where it is removed.
    public let file: FileKind
    /// Bytes of the file in the earlier and in the later tree; nil where it is not.
    public let oldSizeBytes: UInt64?
    public let newSizeBytes: UInt64?
    /// Of a changed file.
    public let aspects: [Aspect]

    /// The same change seen from the other side.
    public var inverse: TreeChange {
        let kind: Kind =
            switch kind {
            case .added: .removed
            case .changed: .changed
            case .removed: .added
            }
        return TreeChange(
            kind: kind, path: path, file: file, oldSizeBytes: newSizeBytes, newSizeBytes: oldSizeBytes,
            aspects: aspects)
    }
}

/// Finds the files in which two file systems differ.
///
/// By the comparison that layers are made with: chunks tell what is equal before anything is read, and of a tree
/// that was made by writing to the other's file system only those inodes are looked at whose blocks differ.
/// Sockets, access and change times do not count; nor does the time of a directory, which all that happens in it
/// changes.
public enum TreeDifference {
    /// - Parameter isDescendant: the later tree was made by writing to the earlier one's file system.
    /// - Returns: changes, sorted by the bytes of their paths.
    public static func run(
        from base: ExportTree, to top: ExportTree, isDescendant: Bool,
        isCancelled: @escaping () -> Bool = { false }
    ) throws(FlattenError) -> [TreeChange] {
        let plan = try ExportPlan.make(
            base: base, top: top, isDescendant: isDescendant, isCancelled: isCancelled)
        var collector = Collector(base: base, top: top, plan: plan)
        for index in plan.nodes.indices {
            if isCancelled() { throw .cancelled }
            try collector.visit(index)
        }
        return collector.changes.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    private struct Collector {
        let base: ExportTree
        let top: ExportTree
        let plan: ExportPlan
        var changes: [TreeChange] = []

        private static let levelLimit = 4096

        mutating func visit(_ index: Int) throws(FlattenError) {
            let node = plan.nodes[index]
            let path = plan.path(of: index)
            let old = node.old == 0 ? nil : try base.inode(node.old)
            if old == nil || !node.isSame {
                let inode = try top.inode(node.number)
                try note(path, old, inode)
            }
            guard let old, old.kind == .directory else { return }
            if node.kind != .directory {
                // Something else has taken the place of a directory: all that was in it is gone.
                return try remove(under: old, path, only: nil, level: 0)
            }
            if node.isOpaque { return try remove(under: old, path, only: nil, level: 0) }
            if !node.removed.isEmpty {
                try remove(under: old, path, only: Set(node.removed), level: 0)
            }
        }

        private mutating func note(_ path: [UInt8], _ old: Inode?, _ inode: Inode) throws(FlattenError) {
            let aspects = try old.map { old throws(FlattenError) in try self.aspects(old, inode) } ?? []
            if old != nil, aspects.isEmpty || (inode.kind == .directory && aspects == [.time]) { return }
            changes.append(
                TreeChange(
                    kind: old == nil ? .added : .changed, path: path, file: inode.kind,
                    oldSizeBytes: old.map(Self.size), newSizeBytes: Self.size(inode), aspects: aspects))
        }

        private func aspects(_ old: Inode, _ inode: Inode) throws(FlattenError) -> [TreeChange.Aspect] {
            var found: [TreeChange.Aspect] = []
            if old.kind != inode.kind { found.append(.type) }
            if old.kind == inode.kind, try !hasSameContent(old, inode) { found.append(.content) }
            if old.mode & 0o7777 != inode.mode & 0o7777 { found.append(.mode) }
            if old.owner != inode.owner || old.group != inode.group { found.append(.owner) }
            if old.modified != inode.modified { found.append(.time) }
            if try top.xattrs(of: inode) != base.xattrs(of: old) { found.append(.attributes) }
            return found
        }

        private func hasSameContent(_ old: Inode, _ inode: Inode) throws(FlattenError) -> Bool {
            switch inode.kind {
            case .symlink:
                let target = try top.read { try $0.target(of: inode) }
                return try base.read { try $0.target(of: old) } == target
            case .file:
                if inode.sizeBytes != old.sizeBytes { return false }
                return try ContentComparison(top: top, base: base, changed: nil).isSame(inode, old)
            default: return inode.device == old.device
            }
        }

        /// Notes what the earlier tree has in a directory, or some names of it, as removed.
        private mutating func remove(
            under directory: Inode, _ path: [UInt8], only names: Set<[UInt8]>?, level: Int
        ) throws(FlattenError) {
            guard level < Self.levelLimit else {
                throw .tree(base.name, reason: "directories lie too deep; run e2fsck on it")
            }
            let prefix = path.isEmpty ? [] : path + [UInt8(ascii: "/")]
            for entry in try base.read({ try $0.entries(of: directory) }) {
                if let names, !names.contains(entry.name) { continue }
                let inode = try base.inode(entry.inode)
                if inode.kind == .socket { continue }
                changes.append(
                    TreeChange(
                        kind: .removed, path: prefix + entry.name, file: inode.kind,
                        oldSizeBytes: Self.size(inode), newSizeBytes: nil, aspects: []))
                if inode.kind == .directory {
                    try remove(under: inode, prefix + entry.name, only: nil, level: level + 1)
                }
            }
        }

        /// Directories have a size that says nothing to people.
        private static func size(_ inode: Inode) -> UInt64 {
            inode.kind == .file || inode.kind == .symlink ? inode.sizeBytes : 0
        }
    }
}
