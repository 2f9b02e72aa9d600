// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// The journal of a new file system: empty, of the second version, as jbd2 would leave it.
enum Journal {
    /// Fewest blocks that jbd2 takes.
    static let minimumBlocks: UInt64 = 1024
    /// Most blocks for which the journal's inode needs no branches.
    static let maximumBlocks: UInt64 = 32768

    /// The journal's first block; the rest of it may hold anything, so it stays a hole.
    ///
    /// The features that the kernel would switch on at the first mount are on already: 64bit and checksums.
    static func superblock(blocks: UInt32, uuid: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](zeros: 1024)
        bytes.put(UInt32(0xC03B_3998).byteSwapped, at: 0)
        bytes.put(UInt32(4).byteSwapped, at: 4)
        bytes.put(UInt32(Block.bytes).byteSwapped, at: 12)
        bytes.put(blocks.byteSwapped, at: 16)
        bytes.put(UInt32(1).byteSwapped, at: 20)
        bytes.put(UInt32(1).byteSwapped, at: 24)
        bytes.put(UInt32(0x2 | 0x10).byteSwapped, at: 40)
        bytes.put(uuid, at: 48)
        bytes.put(UInt32(1).byteSwapped, at: 64)
        // Checksum type CRC-32C.
        bytes[80] = 4
        bytes.put(ChecksumSeed(uuid: []).checksum(bytes.span).byteSwapped, at: 252)
        return bytes + [UInt8](zeros: Block.bytes - 1024)
    }
}

/// The inode that owns the blocks kept free for descriptors of a larger file system (feature resize_inode).
///
/// Its double indirect block names the reserved blocks of group 0, and each of those names its copies.
struct ResizeInode {
    let geometry: Geometry
    /// The double indirect block.
    let place: UInt32

    /// Groups with copies, 1 and up, in order.
    private var copies: [Int] { (1..<max(1, geometry.groupCount)).filter(Geometry.hasSuperblock) }

    /// The first reserved block of group 0.
    private var firstReserved: UInt32 { 1 + geometry.descriptorBlocks }

    func record() -> InodeRecord {
        let pointers = UInt64(Block.bytes / 4)
        var record = InodeRecord(mode: FileKind.file.modeBits | 0o600)
        record.sizeBytes = (pointers * pointers + pointers + 12) * UInt64(Block.bytes)
        record.blockCount = 1 + UInt64(geometry.reservedDescriptorBlocks) * UInt64(1 + copies.count)
        record.pointers.put(place, at: 4 * 13)
        return record
    }

    func indirectBlock() -> [UInt8] {
        var block = [UInt8](zeros: Block.bytes)
        for index in 0..<geometry.reservedDescriptorBlocks {
            let slot = (geometry.descriptorBlocks + index) % UInt32(Block.bytes / 4)
            block.put(firstReserved + index, at: 4 * Int(slot))
        }
        return block
    }

    /// The reserved blocks of group 0 with their places.
    func reservedBlocks() -> [(place: UInt32, bytes: [UInt8])] {
        let copies = copies
        return (0..<geometry.reservedDescriptorBlocks).map { index in
            var block = [UInt8](zeros: Block.bytes)
            for (slot, group) in copies.enumerated() {
                block.put(firstReserved + index + UInt32(group) * Layout.blocksPerGroup, at: 4 * slot)
            }
            return (firstReserved + index, block)
        }
    }
}
