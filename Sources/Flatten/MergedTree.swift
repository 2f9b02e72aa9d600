// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// The layers merged so far, from the top down, and what they hide of those still to come.
struct MergedTree {
    /// A name whose hard link's target has not been found yet.
    private struct Pending {
        let directory: FileTree.NodeID
        let name: [UInt8]
        var link: LayerTree.PendingLink
        let layer: String
    }

    /// A name that a layer adds, other than a directory's.
    struct NewLink {
        let directory: FileTree.NodeID
        let name: [UInt8]
        /// In the tree of the layer.
        let node: FileTree.NodeID
    }

    /// What a layer adds: names, and attributes that hard links of upper layers give to its nodes.
    struct Plan {
        var links: [NewLink] = []
        var attributes: [(node: FileTree.NodeID, FileTree.Attributes)] = []
        /// Files that turned out to be visible although their bytes were passed over.
        var missingContent: [FileTree.NodeID] = []
    }

    private(set) var tree = FileTree()
    /// Directories that show nothing of lower layers.
    private var closed: Set<FileTree.NodeID> = []
    /// Names that lower layers must not fill.
    private var hiddenNames: [FileTree.NodeID: Set<[UInt8]>] = [:]
    private var pending: [Pending] = []

    init() {
        tree.setImplicit(.root, true)
    }

    func isClosed(_ directory: FileTree.NodeID) -> Bool { closed.contains(directory) }

    /// Where a lower layer's directory of that name stands.
    func counterpart(of name: [UInt8], in parent: LayerTree.Counterpart) -> LayerTree.Counterpart {
        guard case .merged(let directory) = parent else { return parent }
        if isHidden(name, in: directory) { return .hidden }
        guard let child = tree.child(named: name, in: directory) else { return .none }
        return tree.kind(of: child) == .directory && !isClosed(child) ? .merged(child) : .hidden
    }

    /// Whether a lower layer's file of that name is visible.
    func shows(_ name: [UInt8], in parent: LayerTree.Counterpart) -> Bool {
        switch parent {
        case .none: true
        case .hidden: false
        case .merged(let directory):
            !isHidden(name, in: directory) && tree.child(named: name, in: directory) == nil
        }
    }

    /// Adds the directories of the next lower layer and finds out which of its names are visible.
    mutating func plan(_ layer: LayerTree, name: String) throws(FlattenError) -> Plan {
        var plan = Plan()
        try resolvePending(in: layer, name, &plan)
        mergeDirectories(of: layer, &plan)
        postpone(layer, name, &plan)
        let needed = plan.links.lazy.map(\.node).filter { layer.content(of: $0)?.isStored == false }
        plan.missingContent = Array(Set(needed)).sorted { $0.index < $1.index }
        return plan
    }

    /// Adds the names of the plan, nodes in the order of the layer's entries.
    /// - Parameter descriptors: of all chunks by ticket; nil for a hole.
    mutating func apply(_ plan: Plan, of layer: LayerTree, _ descriptors: [ChunkDescriptor?]) {
        var nodes: [FileTree.NodeID: FileTree.NodeID] = [:]
        for link in plan.links.sorted(by: { $0.node.index < $1.node.index }) {
            let node: FileTree.NodeID
            if let known = nodes[link.node] {
                node = known
            } else {
                node = copy(link.node, of: layer, descriptors)
                if layer.tree.linkCount(of: link.node) != 1 || !plan.attributes.isEmpty {
                    nodes[link.node] = node
                }
            }
            tree.link(node, name: link.name, in: link.directory)
        }
        for (node, attributes) in plan.attributes {
            guard let copy = nodes[node] else { continue }
            tree.overlay(attributes, on: copy)
        }
    }

    /// Checks that nothing is left to be found, once the lowest layer is merged.
    func finish() throws(FlattenError) {
        if let first = pending.first { throw Self.missingTarget(first) }
    }

    private func isHidden(_ name: [UInt8], in directory: FileTree.NodeID) -> Bool {
        hiddenNames[directory]?.contains(name) == true
    }

    // MARK: - Hard links to lower layers

    private mutating func resolvePending(
        in layer: LayerTree, _ name: String, _ plan: inout Plan
    ) throws(FlattenError) {
        var left: [Pending] = []
        // Backwards, so that of two headers for one inode the upper layer's is applied last.
        for var item in pending.reversed() {
            let found: LayerTree.Lookup
            do throws(BadField) {
                found = try layer.lookup(item.link.target[...], respectingWhiteouts: true)
            } catch {
                throw .badEntry(
                    layer: item.layer, entry: printable(item.link.entryName), reason: error.reason)
            }
            switch found {
            case .found(let node) where layer.tree.kind(of: node) != .directory:
                if let next = layer.pendingLink(node) {
                    item.link.target = next.target
                    left.append(item)
                    continue
                }
                plan.links.append(NewLink(directory: item.directory, name: item.name, node: node))
                plan.attributes.append((node, item.link.attributes))
            case .absent(let rest):
                item.link.target = rest
                left.append(item)
            case .found, .hidden: throw Self.missingTarget(item)
            }
        }
        pending = left.reversed()
    }

    /// Takes names out of the plan whose node is in a still lower layer.
    private mutating func postpone(_ layer: LayerTree, _ layerName: String, _ plan: inout Plan) {
        var ready: [NewLink] = []
        ready.reserveCapacity(plan.links.count)
        for link in plan.links {
            guard let target = layer.pendingLink(link.node) else {
                ready.append(link)
                continue
            }
            pending.append(
                Pending(directory: link.directory, name: link.name, link: target, layer: layerName))
            hiddenNames[link.directory, default: []].insert(link.name)
        }
        plan.links = ready
    }

    private static func missingTarget(_ item: Pending) -> FlattenError {
        let target = printable(Array(item.link.target.joined(separator: [UInt8(ascii: "/")])))
        return .badEntry(
            layer: item.layer, entry: printable(item.link.entryName),
            reason: "the target \(target) of the hard link is missing")
    }

    // MARK: - Directories

    private mutating func mergeDirectories(of layer: LayerTree, _ plan: inout Plan) {
        if isClosed(.root) { return }
        var work: [(lower: FileTree.NodeID, merged: FileTree.NodeID)] = [(.root, .root)]
        while let (lower, merged) = work.popLast() {
            if tree.isImplicit(merged), !layer.tree.isImplicit(lower) {
                tree.setAttributes(of: merged, to: layer.tree.attributes(of: lower))
                tree.setImplicit(merged, false)
            }
            for child in layer.tree.children(of: lower) where !isHidden(child.name, in: merged) {
                let existing = tree.child(named: child.name, in: merged)
                if layer.tree.kind(of: child.node) == .directory {
                    let target = existing ?? addDirectory(child, of: layer, in: merged)
                    if tree.kind(of: target) == .directory, !isClosed(target) {
                        work.append((child.node, target))
                    }
                } else if let existing {
                    // A union ends at the first layer that has something else there.
                    if tree.kind(of: existing) == .directory { closed.insert(existing) }
                } else {
                    plan.links.append(NewLink(directory: merged, name: child.name, node: child.node))
                }
            }
            close(merged, lower, of: layer)
        }
    }

    /// Notes what the layer's whiteouts hide in this directory; its own directories are in `work` already.
    private mutating func close(_ merged: FileTree.NodeID, _ lower: FileTree.NodeID, of layer: LayerTree) {
        for name in layer.whiteouts[lower] ?? [] {
            if let child = tree.child(named: name, in: merged), tree.kind(of: child) == .directory {
                closed.insert(child)
            } else {
                hiddenNames[merged, default: []].insert(name)
            }
        }
        if layer.opaque.contains(lower) { closed.insert(merged) }
    }

    private mutating func addDirectory(
        _ child: FileTree.Child, of layer: LayerTree, in directory: FileTree.NodeID
    ) -> FileTree.NodeID {
        let node = tree.addDirectory(layer.tree.attributes(of: child.node))
        tree.setImplicit(node, layer.tree.isImplicit(child.node))
        tree.link(node, name: child.name, in: directory)
        return node
    }

    // MARK: - Everything else

    private mutating func copy(
        _ node: FileTree.NodeID, of layer: LayerTree, _ descriptors: [ChunkDescriptor?]
    ) -> FileTree.NodeID {
        let attributes = layer.tree.attributes(of: node)
        switch layer.tree.kind(of: node) {
        case .symlink: return tree.addSymlink(attributes, target: Array(layer.tree.target(of: node)))
        case .characterDevice, .blockDevice:
            let (major, minor) = layer.tree.device(of: node)
            return tree.addDevice(attributes, kind: layer.tree.kind(of: node), major: major, minor: minor)
        case .fifo: return tree.addFifo(attributes)
        case .socket: return tree.addSocket(attributes)
        case .directory: return tree.addDirectory(attributes)
        case .file:
            var extents: [FileTree.FileExtent] = []
            if let content = layer.content(of: node) {
                for piece in layer.pieces[content.firstPiece..<content.firstPiece + content.pieceCount] {
                    guard let chunk = descriptors[piece.ticket] else { continue }
                    extents.append(FileTree.FileExtent(fileBlock: piece.fileBlock, chunk: chunk))
                }
            }
            return tree.addFile(attributes, sizeBytes: layer.tree.sizeBytes(of: node), extents: extents)
        }
    }
}

extension MergedTree {
    /// Inodes that the finished tree shows.
    var reachableInodes: UInt64 {
        (0..<tree.nodeCount).reduce(into: 0) { count, index in
            if tree.linkCount(of: FileTree.NodeID(index: UInt32(index))) > 0 { count += 1 }
        }
    }
}
