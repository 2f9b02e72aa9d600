// SPDX-License-Identifier: Apache-2.0

import Blocks

/// How the names of one directory are spread over its blocks.
///
/// What fits in one block is a plain list sorted by name. Anything longer is an index (feature dir_index): a
/// root block, perhaps a level of index nodes, and leaves in the order of the names' hashes.
struct DirectoryLayout {
    /// Bytes for entries in a block that ends with a checksum.
    static let leafBytes = Block.bytes - Layout.directoryTailBytes
    /// The entries `.` and `..` of a plain directory.
    static let dotsBytes = 24
    /// Leaves of an index are filled to seven eighths, so that the first new name does not split one.
    static let leafFillBytes = leafBytes * 7 / 8
    static let rootLimit = (Block.bytes - 32 - 8) / 8
    static let nodeLimit = (Block.bytes - 8 - 8) / 8

    struct Item {
        let hash: UInt32
        let minor: UInt32
        let entry: FileTree.Entry
    }

    /// In the order in which they are written.
    let items: [Item]
    /// Index of each leaf's first item; empty for a plain directory.
    let leaves: [Int]

    var isIndexed: Bool { !leaves.isEmpty }

    /// Index nodes between root and leaves; none when the root can name every leaf.
    var nodeCount: Int {
        leaves.count <= Self.rootLimit ? 0 : (leaves.count + Self.nodeLimit - 1) / Self.nodeLimit
    }

    var blockCount: Int { 1 + nodeCount + leaves.count }
    /// Whether two levels of index can name all leaves; more would need feature large_dir.
    var isWithinLimits: Bool { nodeCount <= Self.rootLimit }

    /// Bytes that an entry takes, names being padded to four.
    static func recordBytes(_ nameBytes: Int) -> Int { (8 + nameBytes + 3) & ~3 }

    init(_ tree: FileTree, _ directory: FileTree.NodeID) {
        var bytes = Self.dotsBytes
        var entries: [FileTree.Entry] = []
        tree.forEachEntry(in: directory) { entry in
            bytes += Self.recordBytes(Int(entry.nameCount))
            entries.append(entry)
        }
        let names = tree.names.span
        if bytes <= Self.leafBytes {
            items = entries.map { Item(hash: 0, minor: 0, entry: $0) }.sorted {
                Self.isBefore($0, $1, tree.names)
            }
            leaves = []
            return
        }
        var hashed: [Item] = []
        hashed.reserveCapacity(entries.count)
        for entry in entries {
            let hash = DirectoryHash(names.extracting(entry.nameRange))
            hashed.append(Item(hash: hash.major, minor: hash.minor, entry: entry))
        }
        hashed.sort { Self.isBefore($0, $1, tree.names) }
        items = hashed
        leaves = Self.split(hashed)
    }

    private static func split(_ items: [Item]) -> [Int] {
        var leaves = [0]
        var bytes = 0
        for (index, item) in items.enumerated() {
            let record = recordBytes(Int(item.entry.nameCount))
            if bytes + record > leafFillBytes {
                leaves.append(index)
                bytes = 0
            }
            bytes += record
        }
        return leaves
    }

    private static func isBefore(_ left: Item, _ right: Item, _ names: [UInt8]) -> Bool {
        if left.hash != right.hash { return left.hash < right.hash }
        if left.minor != right.minor { return left.minor < right.minor }
        return names[left.entry.nameRange].lexicographicallyPrecedes(names[right.entry.nameRange])
    }
}

/// Writes the blocks of a directory.
struct DirectoryEncoder {
    let layout: DirectoryLayout
    let names: [UInt8]
    let inode: UInt32
    let parent: UInt32
    /// The inode's own checksum seed.
    let seed: ChecksumSeed
    /// Inode number and kind of a node.
    let target: (UInt32) -> (inode: UInt32, kind: FileKind)

    /// Block `index` of the directory.
    func block(_ index: Int) -> [UInt8] {
        if !layout.isIndexed { return plainBlock() }
        if index == 0 { return rootBlock() }
        if index <= layout.nodeCount { return nodeBlock(index - 1) }
        return leafBlock(index - 1 - layout.nodeCount)
    }

    private func plainBlock() -> [UInt8] {
        var block = [UInt8](zeros: Block.bytes)
        putDots(in: &block, secondRecord: 12)
        if layout.items.isEmpty {
            block.put(UInt16(DirectoryLayout.leafBytes - 12), at: 16)
        } else {
            fill(&block, from: DirectoryLayout.dotsBytes, layout.items[...])
        }
        finishLeaf(&block)
        return block
    }

    private func leafBlock(_ leaf: Int) -> [UInt8] {
        let end = leaf + 1 < layout.leaves.count ? layout.leaves[leaf + 1] : layout.items.count
        var block = [UInt8](zeros: Block.bytes)
        fill(&block, from: 0, layout.items[layout.leaves[leaf]..<end])
        finishLeaf(&block)
        return block
    }

    private func rootBlock() -> [UInt8] {
        var block = [UInt8](zeros: Block.bytes)
        putDots(in: &block, secondRecord: UInt16(Block.bytes - 12))
        block[28] = DirectoryHash.version
        block[29] = 8
        block[30] = layout.nodeCount > 0 ? 1 : 0
        let first = layout.nodeCount > 0 ? 1 : 1 + layout.nodeCount
        let count = layout.nodeCount > 0 ? layout.nodeCount : layout.leaves.count
        let stride = layout.nodeCount > 0 ? DirectoryLayout.nodeLimit : 1
        putIndex(
            in: &block, at: 32, limit: DirectoryLayout.rootLimit,
            (0..<count).map { (hash(ofLeaf: $0 * stride), UInt32(first + $0)) })
        return block
    }

    private func nodeBlock(_ node: Int) -> [UInt8] {
        var block = [UInt8](zeros: Block.bytes)
        block.put(UInt16(Block.bytes), at: 4)
        let first = node * DirectoryLayout.nodeLimit
        let end = min(first + DirectoryLayout.nodeLimit, layout.leaves.count)
        putIndex(
            in: &block, at: 8, limit: DirectoryLayout.nodeLimit,
            (first..<end).map { (hash(ofLeaf: $0), UInt32(1 + layout.nodeCount + $0)) })
        return block
    }

    /// The hash from which on a leaf has the names; odd when the leaf before has names of the same hash.
    private func hash(ofLeaf leaf: Int) -> UInt32 {
        let first = layout.leaves[leaf]
        let hash = layout.items[first].hash
        return first > 0 && layout.items[first - 1].hash == hash ? hash | 1 : hash
    }

    /// Index entries with their limit, count and checksum; the first one's hash is implied.
    private func putIndex(in block: inout [UInt8], at offset: Int, limit: Int, _ entries: [(UInt32, UInt32)])
    {
        for (index, entry) in entries.enumerated() {
            block.put(entry.0, at: offset + 8 * index)
            block.put(entry.1, at: offset + 8 * index + 4)
        }
        block.put(UInt16(limit), at: offset)
        block.put(UInt16(entries.count), at: offset + 2)
        // The checksum covers the entries in use and its own tail, with zeros for itself.
        let used = Array(block[..<(offset + 8 * entries.count)]) + [UInt8](zeros: 8)
        block.put(seed.checksum(used.span), at: offset + 8 * limit + 4)
    }

    private func putDots(in block: inout [UInt8], secondRecord: UInt16) {
        put(in: &block, at: 0, inode, recordBytes: 12, [UInt8(ascii: ".")], .directory)
        put(
            in: &block, at: 12, parent, recordBytes: Int(secondRecord),
            [UInt8(ascii: "."), UInt8(ascii: ".")],
            .directory)
    }

    private func fill(_ block: inout [UInt8], from start: Int, _ items: ArraySlice<DirectoryLayout.Item>) {
        var offset = start
        for index in items.indices {
            let entry = items[index].entry
            let isLast = index == items.endIndex - 1
            let needed = DirectoryLayout.recordBytes(Int(entry.nameCount))
            let record = isLast ? DirectoryLayout.leafBytes - offset : needed
            let (inode, kind) = target(entry.node)
            put(in: &block, at: offset, inode, recordBytes: record, names[entry.nameRange], kind)
            offset += needed
        }
    }

    private func put(
        in block: inout [UInt8], at offset: Int, _ inode: UInt32, recordBytes: Int,
        _ name: some Collection<UInt8>,
        _ kind: FileKind
    ) {
        block.put(inode, at: offset)
        block.put(UInt16(recordBytes), at: offset + 4)
        block[offset + 6] = UInt8(name.count)
        block[offset + 7] = kind.rawValue
        block.put(name, at: offset + 8)
    }

    private func finishLeaf(_ block: inout [UInt8]) {
        let tail = DirectoryLayout.leafBytes
        block.put(UInt16(Layout.directoryTailBytes), at: tail + 4)
        block[tail + 7] = 0xDE
        block.put(seed.checksum(block.span.extracting(0..<tail)), at: tail + 8)
    }
}
