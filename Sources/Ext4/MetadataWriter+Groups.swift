// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Bitmaps, descriptors and superblocks.
extension MetadataWriter {
    /// Writes the bitmaps of the groups that are in use and returns every group's descriptor.
    mutating func writeBitmaps() throws -> [GroupDescriptor] {
        let directories = directoryCounts()
        var groups: [GroupDescriptor] = []
        groups.reserveCapacity(geometry.groupCount)
        for group in 0..<geometry.groupCount {
            groups.append(descriptor(of: group, directories: directories[group]))
        }
        for first in stride(from: 0, to: geometry.groupCount, by: Layout.groupsPerFlex) {
            let flex = first..<min(first + Layout.groupsPerFlex, geometry.groupCount)
            for group in flex where groups[group].flags & Layout.GroupFlag.blockUninitialised == 0 {
                let used = Int(placement.usedBlocks(of: group))
                let size = Int(geometry.blocks(of: group).count)
                let bitmap = Self.bitmap(used: used, size: size)
                groups[group].blockBitmapChecksum = seed.checksum(bitmap.span)
                try sink.put(bitmap, at: groups[group].blockBitmap)
            }
            for group in flex where groups[group].flags & Layout.GroupFlag.inodeUninitialised == 0 {
                let size = Int(geometry.inodesPerGroup)
                let bitmap = Self.bitmap(used: Int(usedInodes(of: group)), size: size)
                groups[group].inodeBitmapChecksum = seed.checksum(bitmap.span.extracting(0..<size / 8))
                try sink.put(bitmap, at: groups[group].inodeBitmap)
            }
            try sink.flush()
        }
        return groups
    }

    /// Writes superblocks and descriptors, and the reserved blocks behind the first ones.
    mutating func writeDescriptors(_ groups: [GroupDescriptor]) throws {
        var blocks = [[UInt8]](
            repeating: [UInt8](zeros: Block.bytes), count: Int(geometry.descriptorBlocks))
        for (group, descriptor) in groups.enumerated() {
            descriptor.encode(
                into: &blocks[group / Layout.descriptorsPerBlock],
                at: group % Layout.descriptorsPerBlock * Layout.descriptorBytes, group: group, seed: seed)
        }
        let superblock = Superblock(
            geometry: geometry, options: options,
            freeBlocks: groups.reduce(0) { $0 + UInt64($1.freeBlocks) },
            freeInodes: groups.reduce(0) { $0 + $1.freeInodes }, journal: journalRecord())
        for group in 0..<geometry.groupCount where Geometry.hasSuperblock(group) {
            let start = geometry.blocks(of: group).start
            try sink.put(superblock.block(group: group), at: start)
            try sink.flush()
            for (index, block) in blocks.enumerated() { try sink.put(block, at: start + 1 + UInt32(index)) }
            try sink.flush()
        }
        for reserved in resize.reservedBlocks() { try sink.put(reserved.bytes, at: reserved.place) }
        try sink.flush()
    }

    private func descriptor(of group: Int, directories: UInt32) -> GroupDescriptor {
        let inodes = usedInodes(of: group)
        let blocks = geometry.blocks(of: group)
        let unused = geometry.inodesPerGroup - inodes
        // The kernel can work out the bitmap of a group that holds nothing, or only its own superblock.
        let isPlain = group % Layout.groupsPerFlex != 0 && group != geometry.groupCount - 1
        var flags = Layout.GroupFlag.inodeZeroed
        if isPlain, placement.end <= blocks.start { flags |= Layout.GroupFlag.blockUninitialised }
        if inodes == 0 { flags |= Layout.GroupFlag.inodeUninitialised }
        return GroupDescriptor(
            blockBitmap: geometry.blockBitmap(of: group), inodeBitmap: geometry.inodeBitmap(of: group),
            inodeTable: geometry.inodeTable(of: group),
            freeBlocks: blocks.count - placement.usedBlocks(of: group), freeInodes: unused,
            directories: directories, unusedInodes: unused, flags: flags)
    }

    /// Inodes in use are the first ones of all groups, without a gap.
    func usedInodes(of group: Int) -> UInt32 {
        let before = UInt64(group) * UInt64(geometry.inodesPerGroup)
        let last = UInt64(inventory.lastInode)
        return last <= before ? 0 : UInt32(min(last - before, UInt64(geometry.inodesPerGroup)))
    }

    private func directoryCounts() -> [UInt32] {
        var counts = [UInt32](repeating: 0, count: geometry.groupCount)
        counts[0] = 1
        for (index, node) in inventory.order.enumerated() where tree.nodes[Int(node)].kind == .directory {
            counts[(Int(Layout.firstInode) - 1 + index) / Int(geometry.inodesPerGroup)] += 1
        }
        return counts
    }

    /// A block of bits: the first ones set, then zeros, then ones for what lies past the end of the group.
    private static func bitmap(used: Int, size: Int) -> [UInt8] {
        var bytes = [UInt8](zeros: Block.bytes)
        for index in 0..<used / 8 { bytes[index] = 0xFF }
        for bit in used & ~7..<used { bytes[bit / 8] |= 1 << UInt8(bit & 7) }
        if size < Block.bytes * 8 {
            for bit in size..<(size + 7) & ~7 { bytes[bit / 8] |= 1 << UInt8(bit & 7) }
            for index in (size + 7) / 8..<Block.bytes { bytes[index] = 0xFF }
        }
        return bytes
    }
}
