// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Reads an ext4 file system block by block: one that was formatted here, or one that the kernel wrote to
/// since.
///
/// Everything it reads is taken for hostile: counts, offsets and block numbers are checked, recursion is
/// bounded, and what is wrong is an error that names the inode or block. Checksums are not looked at.
public struct Reader {
    /// What the superblock tells.
    public struct Information: Equatable, Sendable {
        public let blockCount: UInt32
        public let freeBlocks: UInt64
        public let inodeCount: UInt32
        public let freeInodes: UInt32
        public let uuid: [UInt8]
        /// The label, up to 16 bytes.
        public let label: [UInt8]

        public var sizeBytes: UInt64 { UInt64(blockCount) * UInt64(Block.bytes) }
    }

    public let information: Information
    let source: any BlockReader
    let inodesPerGroup: UInt32
    let inodeBytes: Int
    let inodeTables: [UInt32]

    /// Features that change how files are read, and that this reader knows: filetype, extent, 64bit, flex_bg,
    /// metadata_csum_seed and large_dir.
    private static let known: UInt32 = 0x2 | 0x40 | 0x80 | 0x200 | 0x2000 | 0x4000
    private static let names: [(bit: UInt32, name: String)] = [
        (0x1, "compression"), (0x8, "an external journal"), (0x10, "meta_bg"),
        (0x100, "multiple mount protection"),
        (0x400, "ea_inode"), (0x1000, "dirdata"), (0x8000, "inline_data"), (0x10000, "encryption"),
        (0x20000, "case folding"),
    ]

    /// Reads the superblock and the group descriptors.
    /// - Throws: `Ext4Error`, and whatever the source throws.
    public init(_ source: some BlockReader) throws {
        let first = try source.read(block: 0)
        guard first.count == Block.bytes else { throw Ext4Error.damaged("block 0 has \(first.count) bytes") }
        let superblock = Array(first[1024..<2048])
        guard superblock.get(UInt16.self, at: 0x38) == 0xEF53 else {
            throw Ext4Error.damaged("the superblock has no ext4 magic number")
        }
        try Self.checkFeatures(superblock)
        let blocks = superblock.get(UInt32.self, at: 0x04)
        let perGroup = superblock.get(UInt32.self, at: 0x20)
        let inodes = superblock.get(UInt32.self, at: 0x28)
        let size = Int(superblock.get(UInt16.self, at: 0x58))
        let descriptor = Int(superblock.get(UInt16.self, at: 0xFE))
        let has64 = superblock.get(UInt32.self, at: 0x60) & 0x80 != 0
        guard superblock.get(UInt32.self, at: 0x18) == 2, superblock.get(UInt32.self, at: 0x14) == 0,
            superblock.get(UInt32.self, at: 0x150) == 0 || !has64, perGroup == Layout.blocksPerGroup
        else { throw Ext4Error.unsupportedFeature("blocks other than of 4 KiB, or more than 16 TiB of them") }
        guard blocks >= 64, inodes > 0, inodes <= 32768, [128, 256, 512, 1024].contains(size),
            !has64 || descriptor == 64
        else {
            throw Ext4Error.damaged("the superblock's counts make no sense")
        }
        let groups = Int((UInt64(blocks) + UInt64(perGroup) - 1) / UInt64(perGroup))
        information = Information(
            blockCount: blocks,
            freeBlocks: UInt64(superblock.get(UInt32.self, at: 0x0C)) | UInt64(
                superblock.get(UInt32.self, at: 0x158)) << 32,
            inodeCount: superblock.get(UInt32.self, at: 0), freeInodes: superblock.get(UInt32.self, at: 0x10),
            uuid: Array(superblock[0x68..<0x78]), label: Array(superblock[0x78..<0x88].prefix { $0 != 0 }))
        self.source = source
        inodesPerGroup = inodes
        inodeBytes = size
        inodeTables = try Self.tables(source, groups: groups, descriptorBytes: has64 ? 64 : 32)
        guard UInt64(information.inodeCount) <= UInt64(inodes) * UInt64(groups) else {
            throw Ext4Error.damaged("the superblock has more inodes than its groups")
        }
    }

    private static func checkFeatures(_ superblock: [UInt8]) throws(Ext4Error) {
        let features = superblock.get(UInt32.self, at: 0x60)
        if features & 0x4 != 0 { throw .needsRecovery }
        let unknown = features & ~known
        if unknown == 0 { return }
        let name = names.first { unknown & $0.bit != 0 }?.name
        throw .unsupportedFeature(name ?? "an unknown feature (0x\(String(unknown, radix: 16)))")
    }

    private static func tables(
        _ source: some BlockReader, groups: Int, descriptorBytes: Int
    ) throws -> [UInt32] {
        var tables: [UInt32] = []
        let perBlock = Block.bytes / descriptorBytes
        for first in stride(from: 0, to: groups, by: perBlock) {
            let number = UInt32(1 + first / perBlock)
            let block = try source.read(block: number)
            guard block.count == Block.bytes else {
                throw Ext4Error.damaged("block \(number) has \(block.count) bytes")
            }
            for index in 0..<min(perBlock, groups - first) {
                tables.append(block.get(UInt32.self, at: index * descriptorBytes + 8))
            }
        }
        return tables
    }

    /// A block of the volume, after a check that it is one.
    func block(_ number: UInt64, _ user: @autoclosure () -> String) throws -> [UInt8] {
        guard number > 0, number < UInt64(information.blockCount) else {
            throw Ext4Error.damaged("\(user()) points to block \(number), which is not in the volume")
        }
        let bytes = try source.read(block: UInt32(number))
        guard bytes.count == Block.bytes else {
            throw Ext4Error.damaged("block \(number) has \(bytes.count) bytes")
        }
        return bytes
    }

    /// Reads an inode.
    public func inode(_ number: UInt32) throws -> Inode {
        guard number > 0, number <= information.inodeCount else {
            throw Ext4Error.damaged("inode \(number) does not exist")
        }
        let index = (number - 1) % inodesPerGroup
        let table = inodeTables[Int((number - 1) / inodesPerGroup)]
        let perBlock = UInt32(Block.bytes / inodeBytes)
        let bytes = try block(UInt64(table) + UInt64(index / perBlock), "the inode table")
        let start = Int(index % perBlock) * inodeBytes
        return try Inode(Array(bytes[start..<start + inodeBytes]), number: number)
    }
}
