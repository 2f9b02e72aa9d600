// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Inode tables, written block by block in the order of the numbers.
extension MetadataWriter {
    mutating func writeInodes() throws {
        for group in 0..<geometry.groupCount {
            let used = Int(usedInodes(of: group))
            if used == 0 { break }
            let table = geometry.inodeTable(of: group)
            let first = UInt32(group) * geometry.inodesPerGroup + 1
            for start in stride(from: 0, to: used, by: Layout.inodesPerBlock) {
                var block = [UInt8](zeros: Block.bytes)
                for index in start..<min(start + Layout.inodesPerBlock, used) {
                    let number = first + UInt32(index)
                    guard let record = try record(of: number) else { continue }
                    record.encode(
                        into: &block, at: (index - start) * Layout.inodeBytes, number: number, seed: seed)
                }
                try sink.put(block, at: table + UInt32(start / Layout.inodesPerBlock))
            }
            try sink.flush()
        }
    }

    /// The inode of that number; nil for a reserved one that stays zero.
    private func record(of number: UInt32) throws(Ext4Error) -> InodeRecord? {
        switch number {
        case Layout.rootInode: try record(ofNode: 0)
        case Layout.resizeInode: resize.record()
        case Layout.journalInode: journalRecord()
        case Layout.firstInode...: try record(ofNode: inventory.order[Int(number - Layout.firstInode)])
        default: nil
        }
    }

    func journalRecord() -> InodeRecord {
        var record = InodeRecord(mode: FileKind.file.modeBits | 0o600)
        record.sizeBytes = UInt64(placement.journalBlocks) * UInt64(Block.bytes)
        record.blockCount = UInt64(placement.journalBlocks)
        record.flags = Layout.InodeFlag.extents
        let extents = placement.extents(from: placement.journal, [(0, placement.journalBlocks)])
        record.pointers = ExtentTree(extents, places: [], seed: seed).root
        return record
    }

    private func record(ofNode node: UInt32) throws(Ext4Error) -> InodeRecord {
        let source = tree.nodes[Int(node)]
        var record = InodeRecord(mode: source.mode)
        record.owner = source.owner
        record.group = source.group
        record.links = inventory.links[Int(node)]
        (record.modified, record.accessed, record.changed) = (
            source.modified, source.accessed, source.changed
        )
        putContent(of: node, source, in: &record)
        if source.xattrSet != 0 {
            record.body = try Inventory.xattrs(of: FileTree.NodeID(index: node), tree).body
            if let place = placement.attributes[node] {
                record.attributeBlock = place
                record.blockCount += 1
            }
        }
        return record
    }

    private func putContent(of node: UInt32, _ source: FileTree.Node, in record: inout InodeRecord) {
        switch source.kind {
        case .characterDevice, .blockDevice:
            Self.putDevice(
                UInt32(source.payload >> 32), UInt32(truncatingIfNeeded: source.payload), in: &record)
            return
        case .fifo, .socket: return
        case .symlink where !source.hasTargetBlock:
            record.sizeBytes = source.sizeBytes
            record.pointers.put(tree.target(of: FileTree.NodeID(index: node)), at: 0)
            return
        case .symlink, .file: record.sizeBytes = source.sizeBytes
        case .directory:
            let blocks = inventory.directoryBlocks(node)
            record.sizeBytes = UInt64(blocks) * UInt64(Block.bytes)
            if blocks > 1 { record.flags |= Layout.InodeFlag.index }
        }
        let extents = placement.extents(of: node, tree, inventory)
        record.flags |= Layout.InodeFlag.extents
        record.blockCount = extents.reduce(0) { $0 + UInt64($1.count) }
        if placement.branches[node] == nil {
            record.pointers = ExtentTree(extents, places: [], seed: seed).root
        } else {
            let branches = extentTree(of: node)
            record.pointers = branches.tree.root
            record.blockCount += UInt64(branches.places.count)
        }
    }

    /// Small numbers in the old encoding, others in the new one, each in its own word.
    private static func putDevice(_ major: UInt32, _ minor: UInt32, in record: inout InodeRecord) {
        if major < 256, minor < 256 {
            record.pointers.put(major << 8 | minor, at: 0)
        } else {
            record.pointers.put(minor & 0xFF | major << 8 | (minor & ~0xFF) << 12, at: 4)
        }
    }
}
