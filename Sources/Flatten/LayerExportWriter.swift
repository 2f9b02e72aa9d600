// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// Writes the entries of a plan as a tar.
struct LayerWriter {
    /// Blocks of file data read in one go; 1 MiB.
    private static let readBlocks: UInt64 = 256
    private static let whiteoutPrefix = Array(".wh.".utf8)
    private static let opaqueName = Array(".wh..wh..opq".utf8)

    private let plan: ExportPlan
    private let top: ExportTree
    private let packer: LayerPacker
    private let keepsHoles: Bool
    private let check: () throws(FlattenError) -> Void
    private(set) var entryCount: UInt64 = 0
    private(set) var removalCount: UInt64 = 0

    init(
        _ plan: ExportPlan, _ top: ExportTree, _ packer: LayerPacker, keepsHoles: Bool,
        check: @escaping () throws(FlattenError) -> Void
    ) {
        (self.plan, self.top, self.packer, self.check) = (plan, top, packer, check)
        self.keepsHoles = keepsHoles
    }

    mutating func write() throws(FlattenError) {
        for index in plan.nodes.indices where plan.nodes[index].isWritten {
            try check()
            try write(index)
        }
        // The mark of the end.
        try packer.add([UInt8](repeating: 0, count: 2 * TarHeader.blockBytes))
    }

    private mutating func write(_ index: Int) throws(FlattenError) {
        let node = plan.nodes[index]
        let path = plan.path(of: index)
        if node.name.starts(with: Self.whiteoutPrefix) {
            throw Self.unexportable(path, "names that start with .wh. mean removals there; rename it")
        }
        let inode = try top.inode(node.number)
        entryCount += 1
        var header = try Self.header(inode, path)
        if let first = node.link {
            header.type = TarHeader.hardLink
            header.link = plan.path(of: first)
            return try packer.add(header.encoded)
        }
        header.xattrs = try top.xattrs(of: inode)
        switch inode.kind {
        case .directory: return try write(directory: node, path, &header)
        case .symlink: header.link = try top.read { try $0.target(of: inode) }
        case .file: return try write(file: inode, &header)
        default: header.device = inode.device
        }
        try packer.add(header.encoded)
    }

    private func write(file inode: Inode, _ header: inout TarHeader) throws(FlattenError) {
        let runs = try top.read { try $0.runs(of: inode) }
        let whole = SparseMap.Piece(offset: 0, byteCount: inode.sizeBytes)
        header.sparse = keepsHoles ? SparseMap(runs, sizeBytes: inode.sizeBytes) : nil
        header.sizeBytes = header.sparse?.storedBytes ?? inode.sizeBytes
        try packer.add(header.encoded)
        if let sparse = header.sparse { try packer.add(sparse.encoded) }
        for piece in header.sparse?.pieces ?? [whole] { try write(piece, of: runs) }
        try packer.add(TarHeader.padding(Int(header.sizeBytes % UInt64(TarHeader.blockBytes))))
    }

    private static func header(_ inode: Inode, _ path: [UInt8]) throws(FlattenError) -> TarHeader {
        let type =
            switch inode.kind {
            case .file: TarHeader.file
            case .directory: TarHeader.directory
            case .symlink: TarHeader.symlink
            case .characterDevice: TarHeader.characterDevice
            case .blockDevice: TarHeader.blockDevice
            case .fifo: TarHeader.fifo
            case .socket: throw unexportable(path, "it is a socket")
            }
        return TarHeader(
            name: path, type: type, mode: UInt32(inode.mode & 0o7777), owner: inode.owner,
            group: inode.group, modified: inode.modified)
    }

    /// The directory, and what of the base's it hides.
    private mutating func write(
        directory node: ExportPlan.Node, _ path: [UInt8], _ header: inout TarHeader
    ) throws(FlattenError) {
        let prefix = path.isEmpty ? [] : path + [UInt8(ascii: "/")]
        header.name = path.isEmpty ? Array("./".utf8) : prefix
        try packer.add(header.encoded)
        if node.isOpaque { try writeMark(prefix + Self.opaqueName) }
        for name in node.removed {
            if name.starts(with: Self.whiteoutPrefix) {
                throw Self.unexportable(prefix + name, "its removal would mean something else there")
            }
            if name.count + Self.whiteoutPrefix.count > FileTree.maximumNameBytes {
                // No engine can make the file that says so.
                throw Self.unexportable(
                    prefix + name, "its name is too long for the mark of its removal; replace the directory")
            }
            try writeMark(prefix + Self.whiteoutPrefix + name)
        }
    }

    private mutating func writeMark(_ name: [UInt8]) throws(FlattenError) {
        removalCount += 1
        try packer.add(TarHeader(name: name, type: TarHeader.file).encoded)
    }

    /// Bytes of a file from the start of a block on, zeros for its holes.
    private func write(_ piece: SparseMap.Piece, of runs: [FileRun]) throws(FlattenError) {
        var cursor = RunCursor(runs)
        var block = piece.offset / UInt64(Block.bytes)
        let count = block + Block.count(forBytes: piece.byteCount)
        var left = piece.byteCount
        while block < count {
            let piece = cursor.piece(at: block)
            let end = min(piece.end, count, block + Self.readBlocks)
            let byteCount = min(left, (end - block) * UInt64(Block.bytes))
            if let start = piece.start {
                let range = BlockRange(start: start, count: UInt32(end - block))
                try packer.add(try top.bytes(of: range).prefix(Int(byteCount)))
            } else {
                try packer.add([UInt8](repeating: 0, count: Int(byteCount)))
            }
            left -= byteCount
            block = end
            try check()
        }
    }

    private static func unexportable(_ path: [UInt8], _ reason: String) -> FlattenError {
        .unexportable(path: "/" + printable(path), reason: reason)
    }
}
