// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Where a file system of some size keeps its fixed metadata: superblocks, descriptors, bitmaps, inode
/// tables.
///
/// Like mke2fs, sixteen groups share the head of their first one (flex_bg); copies of the superblock stand in
/// groups 1 and the powers of 3, 5 and 7; blocks for descriptors of a larger file system are kept free.
struct Geometry {
    let blockCount: UInt32
    let groupCount: Int
    let inodesPerGroup: UInt32
    let descriptorBlocks: UInt32
    let reservedDescriptorBlocks: UInt32
    /// All fixed metadata: sorted, apart.
    let fixed: [BlockRange]

    var inodeTableBlocks: UInt32 { inodesPerGroup / UInt32(Layout.inodesPerBlock) }
    var inodeCount: UInt32 { inodesPerGroup * UInt32(groupCount) }
    /// Blocks at the head of a group that has a superblock.
    var superblockArea: UInt32 { 1 + descriptorBlocks + reservedDescriptorBlocks }

    /// The most inodes a group can have so that the tables of sixteen fit in the first of them.
    static let maximumInodesPerGroup: UInt32 = 24576
    /// Reserved descriptors let resize2fs grow the file system to 2 TiB without moving anything.
    private static let descriptorBlocksForGrowth: UInt32 = 256
    /// The block of a kernel check: addresses in one indirect block.
    private static let maximumReservedBlocks: UInt32 = 1024

    /// Lays out a file system; a last group too short to be of use is left out.
    init(blocks: UInt64, inodesWanted: UInt64, bytesPerInode: UInt64) throws(Ext4Error) {
        let perGroup = UInt64(Layout.blocksPerGroup)
        let sizeBytes = blocks * UInt64(Block.bytes)
        guard blocks >= 1024, blocks < UInt64(UInt32.max) else {
            throw .invalidOptions("a file system has 4 MiB to 16 TiB, not \(sizeBytes) bytes")
        }
        var groups = (blocks + perGroup - 1) / perGroup
        var count = blocks
        let descriptors = UInt32((groups + 63) / 64)
        let room = max(Self.descriptorBlocksForGrowth, 2 * descriptors) - descriptors
        let reserved = min(room, Self.maximumReservedBlocks)
        let perInodes = max(inodesWanted, blocks * UInt64(Block.bytes) / bytesPerInode)
        let inodes = UInt32(
            min((perInodes + groups * 16 - 1) / (groups * 16) * 16, UInt64(Self.maximumInodesPerGroup)))
        // What a last group that stands alone would need, and some blocks to make it worth while.
        let tail = blocks % perGroup
        let overhead = UInt64(1 + descriptors + reserved + 2 + inodes / 16 + 50)
        if tail != 0, tail < overhead, groups > 1 {
            groups -= 1
            count = groups * perGroup
        }
        if UInt64(inodes) * groups < inodesWanted {
            throw .doesNotFit(neededBytes: inodesWanted * perGroup / 24576 * 4096, sizeBytes: sizeBytes)
        }
        blockCount = UInt32(count)
        groupCount = Int(groups)
        inodesPerGroup = inodes
        descriptorBlocks = descriptors
        reservedDescriptorBlocks = reserved
        fixed = Self.fixedRanges(
            groups: Int(groups), superblockArea: 1 + descriptors + reserved, table: inodes / 16)
        if let last = fixed.last, last.end > UInt32(count) {
            throw .doesNotFit(neededBytes: UInt64(last.end) * 4096, sizeBytes: sizeBytes)
        }
    }

    func blocks(of group: Int) -> BlockRange {
        let start = UInt32(group) * Layout.blocksPerGroup
        return BlockRange(start: start, count: min(Layout.blocksPerGroup, blockCount - start))
    }

    /// Whether the group begins with a copy of the superblock and the descriptors.
    static func hasSuperblock(_ group: Int) -> Bool {
        if group <= 1 { return true }
        return [3, 5, 7].contains { base in
            var power = base
            while power < group { power *= base }
            return power == group
        }
    }

    func blockBitmap(of group: Int) -> UInt32 {
        flexStart(group) + UInt32(group % Layout.groupsPerFlex)
    }

    func inodeBitmap(of group: Int) -> UInt32 {
        blockBitmap(of: group) + flexCount(group)
    }

    func inodeTable(of group: Int) -> UInt32 {
        flexStart(group) + 2 * flexCount(group) + UInt32(group % Layout.groupsPerFlex) * inodeTableBlocks
    }

    /// Groups that share a head with this one.
    private func flexCount(_ group: Int) -> UInt32 {
        let first = group / Layout.groupsPerFlex * Layout.groupsPerFlex
        return UInt32(min(Layout.groupsPerFlex, groupCount - first))
    }

    /// The first bitmap of the sixteen groups; only group 0 of all first groups has a superblock.
    private func flexStart(_ group: Int) -> UInt32 {
        let first = group / Layout.groupsPerFlex * Layout.groupsPerFlex
        return UInt32(first) * Layout.blocksPerGroup + (first == 0 ? superblockArea : 0)
    }

    private static func fixedRanges(groups: Int, superblockArea: UInt32, table: UInt32) -> [BlockRange] {
        var ranges: [BlockRange] = []
        for group in 0..<groups {
            let area = hasSuperblock(group) ? superblockArea : 0
            let isFirst = group % Layout.groupsPerFlex == 0
            let sharing = isFirst ? UInt32(min(Layout.groupsPerFlex, groups - group)) : 0
            let count = area + sharing * (2 + table)
            if count > 0 {
                ranges.append(BlockRange(start: UInt32(group) * Layout.blocksPerGroup, count: count))
            }
        }
        return ranges
    }
}

/// Hands out free blocks from the front, stepping over the fixed metadata.
///
/// Everything below `next` is in use, everything above is free but for the fixed ranges: so the block bitmaps
/// need no other record, and a file's blocks are known from its first one and their number.
struct SpaceCursor {
    let geometry: Geometry
    private(set) var next: UInt32 = 0
    /// Blocks asked for that the volume does not have.
    private(set) var missing: UInt64 = 0
    private var range = 0

    init(_ geometry: Geometry) {
        self.geometry = geometry
    }

    /// Takes blocks and returns the first; 0 for none.
    ///
    /// When the volume is full this only counts what is missing.
    mutating func take(_ count: UInt64) -> UInt32 {
        var rest = count
        var first: UInt32?
        while rest > 0 {
            while range < geometry.fixed.count, geometry.fixed[range].start <= next {
                next = max(next, geometry.fixed[range].end)
                range += 1
            }
            let end = range < geometry.fixed.count ? geometry.fixed[range].start : geometry.blockCount
            if next >= end {
                missing += rest
                break
            }
            first = first ?? next
            let piece = UInt32(min(rest, UInt64(end - next)))
            next += piece
            rest -= UInt64(piece)
        }
        return first ?? 0
    }
}

extension Geometry {
    /// Calls `body` for the runs that `take` gave when it returned `start` for `count` blocks.
    func forEachRun<E: Error>(
        from start: UInt32, count: UInt32, _ body: (BlockRange) throws(E) -> Void
    ) throws(E) {
        var low = 0
        var high = fixed.count
        while low < high {
            let middle = (low + high) / 2
            if fixed[middle].start <= start { low = middle + 1 } else { high = middle }
        }
        var block = start
        var rest = count
        while rest > 0 {
            let end = low < fixed.count ? fixed[low].start : blockCount
            let piece = min(rest, end - block)
            if piece > 0 { try body(BlockRange(start: block, count: piece)) }
            rest -= piece
            block = low < fixed.count ? fixed[low].end : end
            low += 1
        }
    }
}
