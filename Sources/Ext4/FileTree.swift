// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// The merged tree that becomes a file system: an arena of nodes and of named links between them.
///
/// Nodes are addressed by index and never move, so a caller can keep arrays of its own beside the tree. File
/// data is laid out in the order in which files were added. What the root does not reach is not formatted. A
/// million small files take some 250 MB.
public struct FileTree: Sendable {
    /// A node of one tree; meaningless in another.
    public struct NodeID: Hashable, Sendable {
        /// Position in the arena: 0 is the root, the others follow in the order in which they were added.
        public let index: UInt32

        public init(index: UInt32) {
            self.index = index
        }

        /// The root directory, which is there from the start.
        public static let root = NodeID(index: 0)
    }

    /// What `stat` and `listxattr` tell of a node, apart from its size.
    public struct Attributes: Equatable, Sendable {
        /// Permissions with set-id and sticky bits; the type bits are set by the node's kind.
        public var mode: UInt16
        public var owner: UInt32
        public var group: UInt32
        public var modified: Timestamp
        public var accessed: Timestamp
        public var changed: Timestamp
        /// In any order, each name once.
        public var xattrs: [Xattr]

        public init(
            mode: UInt16, owner: UInt32 = 0, group: UInt32 = 0, modified: Timestamp = .zero,
            accessed: Timestamp? = nil, changed: Timestamp? = nil, xattrs: [Xattr] = []
        ) {
            self.mode = mode
            self.owner = owner
            self.group = group
            self.modified = modified
            self.accessed = accessed ?? modified
            self.changed = changed ?? modified
            self.xattrs = xattrs
        }
    }

    /// Where one chunk lies in a file.
    ///
    /// The whole chunk is used; what no extent covers is a hole.
    public struct FileExtent: Hashable, Sendable {
        /// The first block in the file.
        public var fileBlock: UInt32
        public var chunk: ChunkDescriptor

        public init(fileBlock: UInt32, chunk: ChunkDescriptor) {
            self.fileBlock = fileBlock
            self.chunk = chunk
        }

        /// The block after the last one; the sum may pass 32 bits for hostile input.
        var end: UInt64 { UInt64(fileBlock) + UInt64(chunk.blockCount) }
    }

    /// A name in a directory.
    public struct Child: Equatable, Sendable {
        public let name: [UInt8]
        public let node: NodeID
    }

    /// Bytes in the longest name.
    public static let maximumNameBytes = 255
    /// Bytes in the longest target of a symbolic link.
    public static let maximumTargetBytes = 4095

    var nodes: [Node] = []
    var entries: [Entry] = []
    var names: [UInt8] = []
    var targets: [UInt8] = []
    var extents: [FileExtent] = []
    var xattrSets: [[Xattr]] = [[]]
    var slots = NameTable()

    /// A tree with an empty root directory, mode 0755.
    public init() {
        _ = append(.directory, Attributes(mode: 0o755), payload: Node.noChildren)
        nodes[0].linkCount = 1
    }

    /// Nodes ever added, the root and those without a link among them.
    ///
    /// Every `NodeID.index` is below.
    public var nodeCount: Int { nodes.count }

    public mutating func addDirectory(_ attributes: Attributes) -> NodeID {
        append(.directory, attributes, payload: Node.noChildren)
    }

    /// Adds a regular file.
    /// - Precondition: extents are sorted, apart, and end within the file's last block.
    public mutating func addFile(
        _ attributes: Attributes, sizeBytes: UInt64, extents fileExtents: [FileExtent]
    ) -> NodeID {
        let id = append(.file, attributes, payload: 0)
        setContent(of: id, sizeBytes: sizeBytes, extents: fileExtents)
        return id
    }

    /// Adds a symbolic link.
    /// - Precondition: the target has 1 to 4095 bytes.
    public mutating func addSymlink(_ attributes: Attributes, target: [UInt8]) -> NodeID {
        precondition(
            (1...Self.maximumTargetBytes).contains(target.count), "a link's target has 1 to 4095 bytes")
        let id = append(.symlink, attributes, payload: UInt64(targets.count))
        nodes[Int(id.index)].sizeBytes = UInt64(target.count)
        targets.append(contentsOf: target)
        return id
    }

    /// Adds a device node.
    /// - Precondition: the kind is a device; the major number has 12 bits, the minor number 20, as in Linux.
    public mutating func addDevice(
        _ attributes: Attributes, kind: FileKind, major: UInt32, minor: UInt32
    ) -> NodeID {
        precondition(
            kind == .characterDevice || kind == .blockDevice, "a device is of character or block kind")
        precondition(major < 1 << 12 && minor < 1 << 20, "a device number has 12 and 20 bits")
        return append(kind, attributes, payload: UInt64(major) << 32 | UInt64(minor))
    }

    public mutating func addFifo(_ attributes: Attributes) -> NodeID {
        append(.fifo, attributes, payload: 0)
    }

    public mutating func addSocket(_ attributes: Attributes) -> NodeID {
        append(.socket, attributes, payload: 0)
    }

    /// Replaces what a regular file holds, for content that is known only after the node was made.
    /// - Precondition: the node is a file; extents are sorted, apart, and end within the file's last block.
    public mutating func setContent(of node: NodeID, sizeBytes: UInt64, extents fileExtents: [FileExtent]) {
        precondition(kind(of: node) == .file, "only a regular file has content")
        var end: UInt64 = 0
        for extent in fileExtents {
            precondition(UInt64(extent.fileBlock) >= end, "extents are sorted and apart")
            end = extent.end
        }
        precondition(end <= Block.count(forBytes: sizeBytes), "extents end within the file")
        nodes[Int(node.index)].sizeBytes = sizeBytes
        nodes[Int(node.index)].payload = UInt64(extents.count) << 32 | UInt64(fileExtents.count)
        extents.append(contentsOf: fileExtents)
    }

    public func attributes(of node: NodeID) -> Attributes {
        let record = nodes[Int(node.index)]
        return Attributes(
            mode: record.mode, owner: record.owner, group: record.group,
            modified: record.modified, accessed: record.accessed, changed: record.changed,
            xattrs: xattrSets[Int(record.xattrSet)])
    }

    public mutating func setAttributes(of node: NodeID, to attributes: Attributes) {
        let set = xattrSet(attributes.xattrs)
        nodes[Int(node.index)].set(attributes, xattrSet: set)
    }

    public func kind(of node: NodeID) -> FileKind { nodes[Int(node.index)].kind }

    /// The length of a file or of a link's target; 0 for the rest.
    public func sizeBytes(of node: NodeID) -> UInt64 {
        kind(of: node) == .directory ? 0 : nodes[Int(node.index)].sizeBytes
    }

    /// Names that lead to the node, from wherever; the root has one.
    public func linkCount(of node: NodeID) -> Int { Int(nodes[Int(node.index)].linkCount) }

    /// The chunks of a file; empty for other kinds.
    public func extents(of node: NodeID) -> ArraySlice<FileExtent> {
        let record = nodes[Int(node.index)]
        guard record.kind == .file else { return [] }
        return extents[record.extentRange]
    }

    /// The target of a symbolic link; empty for other kinds.
    public func target(of node: NodeID) -> ArraySlice<UInt8> {
        let record = nodes[Int(node.index)]
        guard record.kind == .symlink else { return [] }
        return targets[Int(record.payload)..<Int(record.payload) + Int(record.sizeBytes)]
    }

    /// The numbers of a device; zeros for other kinds.
    public func device(of node: NodeID) -> (major: UInt32, minor: UInt32) {
        let record = nodes[Int(node.index)]
        guard record.kind == .characterDevice || record.kind == .blockDevice else { return (0, 0) }
        return (UInt32(record.payload >> 32), UInt32(truncatingIfNeeded: record.payload))
    }

    /// Whether the directory was made only because something below it needed one; see `setImplicit`.
    public func isImplicit(_ node: NodeID) -> Bool { nodes[Int(node.index)].isImplicit }

    /// A mark for the caller's use: the formatter does not look at it.
    public mutating func setImplicit(_ node: NodeID, _ isImplicit: Bool) {
        nodes[Int(node.index)].isImplicit = isImplicit
    }
}
