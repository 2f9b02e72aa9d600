// SPDX-License-Identifier: Apache-2.0

import Ext4

/// One layer as its own tar entries make it, entries that upper layers hide among them.
///
/// A layer is a tree of its own first because its entries act on each other: a later entry replaces an earlier one,
/// and symbolic links of the layer are followed when an entry's path goes through them.
struct LayerTree {
    /// Where a directory of the layer stands in the tree merged so far.
    enum Counterpart: Equatable {
        /// Upper layers have nothing there: everything in it is visible.
        case none
        /// Upper layers hide it: nothing in it is visible.
        case hidden
        /// Upper layers have a directory there that lets lower ones through.
        case merged(FileTree.NodeID)
    }

    /// What is known about a file's bytes.
    struct Content {
        let ordinal: UInt32
        /// False while the bytes were passed over because the file looked hidden.
        var isStored: Bool
        var firstPiece = 0
        var pieceCount = 0
    }

    /// A chunk of a file, by the ticket that the store gave for it.
    struct Piece {
        let fileBlock: UInt32
        let ticket: Int
    }

    /// A hard link whose target must be in a lower layer.
    struct PendingLink {
        var target: [[UInt8]]
        let attributes: FileTree.Attributes
        let entryName: [UInt8]
    }

    private struct Record {
        var counterpart: Counterpart = .none
        var content: Content?
        var pending: Int?
    }

    private(set) var tree = FileTree()
    private(set) var opaque: Set<FileTree.NodeID> = []
    private(set) var whiteouts: [FileTree.NodeID: Set<[UInt8]>] = [:]
    private(set) var pieces: [Piece] = []
    private var pendingLinks: [PendingLink] = []
    private var records: [Record]
    /// The directory of the last entry, since most follow in the same one.
    private var cached: (path: ArraySlice<[UInt8]>, node: FileTree.NodeID)?

    /// Links that are followed on one path; the kernel stops there too.
    private static let linkLimit = 40

    init(over merged: MergedTree) {
        records = [Record(counterpart: merged.isClosed(.root) ? .hidden : .merged(.root))]
        tree.setImplicit(.root, true)
    }

    func counterpart(of directory: FileTree.NodeID) -> Counterpart {
        records[Int(directory.index)].counterpart
    }

    func content(of node: FileTree.NodeID) -> Content? { records[Int(node.index)].content }

    func pendingLink(_ node: FileTree.NodeID) -> PendingLink? {
        records[Int(node.index)].pending.map { pendingLinks[$0] }
    }

    // MARK: - Filling

    mutating func hideLower(_ name: [UInt8], in directory: FileTree.NodeID) {
        whiteouts[directory, default: []].insert(name)
    }

    mutating func hideAllLower(in directory: FileTree.NodeID) {
        opaque.insert(directory)
    }

    mutating func setRoot(_ attributes: FileTree.Attributes) {
        tree.setAttributes(of: .root, to: attributes)
        tree.setImplicit(.root, false)
    }

    /// Puts an entry in its place; what was there goes, unless both are directories.
    /// - Returns: the node; the data of a file is still to come.
    mutating func add(
        _ entry: TarEntry, name: [UInt8], in directory: FileTree.NodeID, _ merged: MergedTree
    ) throws(BadField) -> FileTree.NodeID {
        let existing = tree.child(named: name, in: directory)
        if let existing, entry.kind == .directory, tree.kind(of: existing) == .directory {
            tree.setAttributes(of: existing, to: entry.attributes)
            tree.setImplicit(existing, false)
            return existing
        }
        if let existing {
            if tree.kind(of: existing) == .directory || tree.kind(of: existing) == .symlink { cached = nil }
            tree.unlink(name: name, in: directory)
        }
        let node = try node(for: entry)
        tree.link(node, name: name, in: directory)
        if entry.kind == .directory {
            records[Int(node.index)].counterpart = merged.counterpart(
                of: name, in: counterpart(of: directory))
        }
        return node
    }

    /// The directory of that path, made with its parents where it is not there; links of the layer are followed.
    mutating func directory(
        _ path: ArraySlice<[UInt8]>, for entry: TarEntry, _ merged: MergedTree
    ) throws(BadField) -> FileTree.NodeID {
        if let cached, cached.path == path { return cached.node }
        var walk = LinkWalk(path, limit: Self.linkLimit)
        while let name = walk.next() {
            guard let child = tree.child(named: name, in: walk.directory) else {
                walk.enter(makeImplicit(name, in: walk.directory, entry, merged), name)
                continue
            }
            switch tree.kind(of: child) {
            case .directory: walk.enter(child, name)
            case .symlink: try walk.follow(tree.target(of: child))
            default: throw BadField("a part of its path is not a directory")
            }
        }
        cached = (path, walk.directory)
        return walk.directory
    }

    mutating func setStored(_ node: FileTree.NodeID, pieces filePieces: [Piece]) {
        records[Int(node.index)].content?.isStored = true
        records[Int(node.index)].content?.firstPiece = pieces.count
        records[Int(node.index)].content?.pieceCount = filePieces.count
        pieces.append(contentsOf: filePieces)
    }

    private mutating func makeImplicit(
        _ name: [UInt8], in directory: FileTree.NodeID, _ entry: TarEntry, _ merged: MergedTree
    ) -> FileTree.NodeID {
        let node = tree.addDirectory(FileTree.Attributes(mode: 0o755, modified: entry.attributes.modified))
        tree.setImplicit(node, true)
        tree.link(node, name: name, in: directory)
        records.append(Record(counterpart: merged.counterpart(of: name, in: counterpart(of: directory))))
        return node
    }

    private mutating func node(for entry: TarEntry) throws(BadField) -> FileTree.NodeID {
        let node: FileTree.NodeID
        var record = Record()
        switch entry.kind {
        case .hardLink(let target): return try linkTarget(target, entry)
        case .file(let sizeBytes):
            node = tree.addFile(entry.attributes, sizeBytes: sizeBytes, extents: [])
            record.content = Content(ordinal: entry.ordinal, isStored: sizeBytes == 0)
        case .directory: node = tree.addDirectory(entry.attributes)
        case .symlink(let target):
            // Whatever a header says: Linux shows every link as 0777.
            var attributes = entry.attributes
            attributes.mode = 0o777
            node = tree.addSymlink(attributes, target: target)
        case .device(let kind, let major, let minor):
            node = tree.addDevice(entry.attributes, kind: kind, major: major, minor: minor)
        case .fifo: node = tree.addFifo(entry.attributes)
        case .socket: node = tree.addSocket(entry.attributes)
        }
        records.append(record)
        return node
    }

    // MARK: - Hard links

    /// The node that a hard link of this layer means; a placeholder where a lower layer must have it.
    ///
    /// The link's header speaks of the same inode, so its attributes count, as they do in containerd.
    private mutating func linkTarget(_ target: [UInt8], _ entry: TarEntry) throws(BadField) -> FileTree.NodeID
    {
        let path: [[UInt8]]
        do throws(BadField) { path = try EntryPath.components(target) } catch {
            throw BadField("the target \(printable(target)) of the hard link is refused: \(error.reason)")
        }
        switch try lookup(path[...], respectingWhiteouts: false) {
        case .found(let node):
            if tree.kind(of: node) == .directory { throw BadField("it is a hard link to a directory") }
            tree.overlay(entry.attributes, on: node)
            return node
        case .absent(let rest):
            let node = tree.addFile(entry.attributes, sizeBytes: 0, extents: [])
            records.append(Record(pending: pendingLinks.count))
            pendingLinks.append(
                PendingLink(target: rest, attributes: entry.attributes, entryName: entry.name))
            return node
        case .hidden: throw BadField("the target \(printable(target)) of the hard link is missing")
        }
    }

    enum Lookup {
        case found(FileTree.NodeID)
        /// Not in this layer; the path, without links of this layer, may be in a lower one.
        case absent([[UInt8]])
        /// Neither here nor visible from here in a lower layer.
        case hidden
    }

    /// Finds a path in this layer; a link in the last place is not followed.
    func lookup(_ path: ArraySlice<[UInt8]>, respectingWhiteouts: Bool) throws(BadField) -> Lookup {
        var walk = LinkWalk(path, limit: Self.linkLimit)
        while let name = walk.next() {
            guard let child = tree.child(named: name, in: walk.directory) else {
                let hidden =
                    opaque.contains(walk.directory) || whiteouts[walk.directory]?.contains(name) == true
                return hidden && respectingWhiteouts ? .hidden : .absent(walk.remainingPath(from: name))
            }
            if walk.isAtEnd { return .found(child) }
            switch tree.kind(of: child) {
            case .directory: walk.enter(child, name)
            case .symlink: try walk.follow(tree.target(of: child))
            default: return .hidden
            }
        }
        return .found(walk.directory)
    }
}

/// A way down a layer's tree along a path, through symbolic links, that never leaves the root.
struct LinkWalk {
    private var stack: [(node: FileTree.NodeID, name: [UInt8])] = []
    private var rest: [[UInt8]]
    private var linksLeft: Int

    init(_ path: ArraySlice<[UInt8]>, limit: Int) {
        rest = path.reversed()
        linksLeft = limit
    }

    var directory: FileTree.NodeID { stack.last?.node ?? .root }
    var isAtEnd: Bool { rest.isEmpty }

    /// The next name to look up; `..` is dealt with here and stops at the root.
    mutating func next() -> [UInt8]? {
        while let name = rest.popLast() {
            if !EntryPath.isParent(name) { return name }
            _ = stack.popLast()
        }
        return nil
    }

    mutating func enter(_ node: FileTree.NodeID, _ name: [UInt8]) {
        stack.append((node, name))
    }

    mutating func follow(_ target: ArraySlice<UInt8>) throws(BadField) {
        linksLeft -= 1
        if linksLeft < 0 { throw BadField("its path goes through too many symbolic links") }
        if target.first == UInt8(ascii: "/") { stack.removeAll() }
        rest.append(contentsOf: EntryPath.targetComponents(target).reversed())
    }

    /// The path from the root to here, and on to what is left.
    func remainingPath(from name: [UInt8]) -> [[UInt8]] {
        var path = stack.map(\.name)
        for component in [name] + rest.reversed() {
            if EntryPath.isParent(component) { _ = path.popLast() } else { path.append(component) }
        }
        return path
    }
}

extension FileTree {
    /// Sets what the header of a hard link says on the inode that it leads to: xattrs add up.
    mutating func overlay(_ header: Attributes, on node: NodeID) {
        let old = attributes(of: node)
        var new = header
        if kind(of: node) == .symlink { new.mode = old.mode }
        let names = Set(header.xattrs.map(\.name))
        new.xattrs = (old.xattrs.filter { !names.contains($0.name) } + header.xattrs)
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        setAttributes(of: node, to: new)
    }
}
