// SPDX-License-Identifier: Apache-2.0

import Blocks

/// A run of a file's blocks that lie one after the other in the volume.
struct PlacedExtent: Equatable {
    let fileBlock: UInt32
    let start: UInt32
    /// 1 to 32768.
    let count: UInt32
}

/// The tree that an inode keeps of its extents: four in the inode, or four branches with 340 in each block.
struct ExtentTree {
    static let perRoot = 4
    static let perBlock = 340
    /// Where the checksum stands in a block of the tree.
    static let tailOffset = 12 + 12 * perBlock

    /// Blocks of each level of the tree for so many extents, leaves first; empty when the inode holds them
    /// all.
    static func levels(forExtents count: Int) -> [Int] {
        var levels: [Int] = []
        var below = count
        while below > perRoot {
            below = (below + perBlock - 1) / perBlock
            levels.append(below)
        }
        return levels
    }

    /// The 60 bytes that go into the inode.
    let root: [UInt8]
    /// The other blocks, in the order of `places`.
    let blocks: [[UInt8]]

    /// - Parameter places: as many blocks as the levels need, leaves first.
    init(_ extents: [PlacedExtent], places: [UInt32], seed: ChecksumSeed) {
        var records = extents.map(Self.leaf)
        var firsts = extents.map(\.fileBlock)
        var blocks: [[UInt8]] = []
        var depth: UInt16 = 0
        while records.count > Self.perRoot {
            var above: [[UInt8]] = []
            var aboveFirsts: [UInt32] = []
            for start in stride(from: 0, to: records.count, by: Self.perBlock) {
                let part = records[start..<min(start + Self.perBlock, records.count)]
                var block = Self.node(part, capacity: Self.perBlock, depth: depth, bytes: Block.bytes)
                let checksum = seed.checksum(block.span.extracting(0..<Self.tailOffset))
                block.put(checksum, at: Self.tailOffset)
                above.append(Self.branch(firsts[start], places[blocks.count]))
                aboveFirsts.append(firsts[start])
                blocks.append(block)
            }
            records = above
            firsts = aboveFirsts
            depth += 1
        }
        root = Self.node(records[...], capacity: Self.perRoot, depth: depth, bytes: 60)
        self.blocks = blocks
    }

    private static func node(
        _ records: ArraySlice<[UInt8]>, capacity: Int, depth: UInt16, bytes: Int
    ) -> [UInt8] {
        var node = [UInt8](zeros: bytes)
        node.put(Layout.extentMagic, at: 0)
        node.put(UInt16(records.count), at: 2)
        node.put(UInt16(capacity), at: 4)
        node.put(depth, at: 6)
        for (index, record) in records.enumerated() { node.put(record, at: 12 + 12 * index) }
        return node
    }

    private static func leaf(_ extent: PlacedExtent) -> [UInt8] {
        var record = [UInt8](zeros: 12)
        record.put(extent.fileBlock, at: 0)
        record.put(UInt16(extent.count), at: 4)
        record.put(extent.start, at: 8)
        return record
    }

    private static func branch(_ fileBlock: UInt32, _ block: UInt32) -> [UInt8] {
        var record = [UInt8](zeros: 12)
        record.put(fileBlock, at: 0)
        record.put(block, at: 4)
        return record
    }
}
