// SPDX-License-Identifier: Apache-2.0

import Blocks

/// The superblock of a new file system; its copies differ by the number of their group alone.
struct Superblock {
    let geometry: Geometry
    let options: FormatOptions
    let freeBlocks: UInt64
    let freeInodes: UInt32
    let journal: InodeRecord

    /// The block that begins with the superblock or, in group 0, holds it after 1024 bytes for boot code.
    func block(group: Int) -> [UInt8] {
        var bytes = [UInt8](zeros: 1024)
        putCounts(in: &bytes)
        putIdentity(in: &bytes, group: group)
        putJournal(in: &bytes)
        bytes.put(ChecksumSeed.checksumOfSuperblock(bytes), at: 0x3FC)
        let offset = group == 0 ? 1024 : 0
        return [UInt8](zeros: offset) + bytes + [UInt8](zeros: Block.bytes - 1024 - offset)
    }

    private func putCounts(in bytes: inout [UInt8]) {
        bytes.put(geometry.inodeCount, at: 0x00)
        bytes.put(geometry.blockCount, at: 0x04)
        bytes.put(UInt32(freeBlocks), at: 0x0C)
        bytes.put(freeInodes, at: 0x10)
        // Blocks, and clusters as large as blocks, of 1024 << 2 bytes.
        bytes.put(UInt32(2), at: 0x18)
        bytes.put(UInt32(2), at: 0x1C)
        bytes.put(Layout.blocksPerGroup, at: 0x20)
        bytes.put(Layout.blocksPerGroup, at: 0x24)
        bytes.put(geometry.inodesPerGroup, at: 0x28)
        bytes.put(UInt16(geometry.reservedDescriptorBlocks), at: 0xCE)
        bytes.put(UInt16(Layout.descriptorBytes), at: 0xFE)
        bytes.put(UInt16(Layout.inodeBytes), at: 0x58)
        bytes.put(UInt16(Layout.extraInodeBytes), at: 0x15C)
        bytes.put(UInt16(Layout.extraInodeBytes), at: 0x15E)
        // 16 groups share their metadata's place.
        bytes[0x174] = 4
    }

    private func putIdentity(in bytes: inout [UInt8], group: Int) {
        // No check is due after so many mounts.
        bytes.put(UInt16.max, at: 0x36)
        bytes.put(UInt16(0xEF53), at: 0x38)
        // Clean; go on after errors; dynamic revision.
        bytes.put(UInt16(1), at: 0x3A)
        bytes.put(UInt16(1), at: 0x3C)
        bytes.put(UInt32(1), at: 0x4C)
        bytes.put(Layout.firstInode, at: 0x54)
        bytes.put(UInt16(truncatingIfNeeded: group), at: 0x5A)
        bytes.put(Layout.Feature.compatible, at: 0x5C)
        bytes.put(Layout.Feature.incompatible, at: 0x60)
        bytes.put(Layout.Feature.readOnlyCompatible, at: 0x64)
        bytes.put(options.uuid, at: 0x68)
        bytes.put(Array(options.label.utf8), at: 0x78)
        for (index, word) in DirectoryHash.seed.enumerated() { bytes.put(word, at: 0xEC + 4 * index) }
        bytes[0xFC] = DirectoryHash.version
        bytes.put(DirectoryHash.signedFlag, at: 0x160)
        // Mount options by default: user_xattr and acl.
        bytes.put(UInt32(0xC), at: 0x100)
        // Metadata checksums are CRC-32C.
        bytes[0x175] = 1
    }

    /// The journal's inode, and a copy of where it lies for the case that the inode is lost.
    private func putJournal(in bytes: inout [UInt8]) {
        bytes.put(Layout.journalInode, at: 0xE0)
        bytes[0xFD] = 1
        bytes.put(journal.pointers, at: 0x10C)
        bytes.put(UInt32(truncatingIfNeeded: journal.sizeBytes >> 32), at: 0x10C + 60)
        bytes.put(UInt32(truncatingIfNeeded: journal.sizeBytes), at: 0x10C + 64)
    }
}

extension ChecksumSeed {
    /// The checksum of 1024 bytes of superblock, but for its last field.
    static func checksumOfSuperblock(_ bytes: [UInt8]) -> UInt32 {
        ChecksumSeed(uuid: []).checksum(bytes.span.extracting(0..<0x3FC))
    }
}

/// What a group descriptor says.
struct GroupDescriptor {
    var blockBitmap: UInt32
    var inodeBitmap: UInt32
    var inodeTable: UInt32
    var freeBlocks: UInt32
    var freeInodes: UInt32
    var directories: UInt32
    /// Inodes at the end of the table that were never used.
    var unusedInodes: UInt32
    var flags: UInt16
    var blockBitmapChecksum: UInt32 = 0
    var inodeBitmapChecksum: UInt32 = 0

    /// Writes 64 bytes with their checksum.
    func encode(into bytes: inout [UInt8], at start: Int, group: Int, seed: ChecksumSeed) {
        bytes.put(blockBitmap, at: start)
        bytes.put(inodeBitmap, at: start + 4)
        bytes.put(inodeTable, at: start + 8)
        bytes.put(UInt16(truncatingIfNeeded: freeBlocks), at: start + 12)
        bytes.put(UInt16(truncatingIfNeeded: freeInodes), at: start + 14)
        bytes.put(UInt16(truncatingIfNeeded: directories), at: start + 16)
        bytes.put(flags, at: start + 18)
        bytes.put(UInt16(truncatingIfNeeded: blockBitmapChecksum), at: start + 24)
        bytes.put(UInt16(truncatingIfNeeded: inodeBitmapChecksum), at: start + 26)
        bytes.put(UInt16(truncatingIfNeeded: unusedInodes), at: start + 28)
        // Groups have fewer than 2^16 blocks and inodes, so the upper halves of the counts stay zero.
        bytes.put(UInt16(truncatingIfNeeded: blockBitmapChecksum >> 16), at: start + 56)
        bytes.put(UInt16(truncatingIfNeeded: inodeBitmapChecksum >> 16), at: start + 58)
        let checksum = seed.group(UInt32(group)).checksum(
            bytes.span.extracting(start..<start + Layout.descriptorBytes))
        bytes.put(UInt16(truncatingIfNeeded: checksum), at: start + 30)
    }
}
