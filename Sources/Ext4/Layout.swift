// SPDX-License-Identifier: Apache-2.0

/// Numbers of the ext4 disk format, as `Documentation/filesystems/ext4` of the Linux kernel gives them.
enum Layout {
    static let blocksPerGroup: UInt32 = 32768
    static let groupsPerFlex = 16
    static let descriptorBytes = 64
    static let descriptorsPerBlock = 64
    static let inodeBytes = 256
    static let inodesPerBlock = 16
    /// Bytes of an inode after the first 128 that hold fields; attributes follow.
    static let extraInodeBytes = 32
    /// Inode numbers below are reserved; the first file may have this one, since there is no lost+found.
    static let firstInode: UInt32 = 11
    static let rootInode: UInt32 = 2
    static let resizeInode: UInt32 = 7
    static let journalInode: UInt32 = 8
    static let maximumLinks: UInt32 = 65000
    static let maximumExtentBlocks: UInt32 = 32768
    static let extentMagic: UInt16 = 0xF30A
    static let xattrMagic: UInt32 = 0xEA02_0000
    /// What a block directory, or a leaf of an indexed one, ends with: an entry that holds the checksum.
    static let directoryTailBytes = 12

    enum InodeFlag {
        static let index: UInt32 = 0x1000
        static let extents: UInt32 = 0x8_0000
        static let inlineData: UInt32 = 0x1000_0000
        static let encrypted: UInt32 = 0x800
    }

    enum GroupFlag {
        static let inodeUninitialised: UInt16 = 1
        static let blockUninitialised: UInt16 = 2
        static let inodeZeroed: UInt16 = 4
    }

    enum Feature {
        /// has_journal, ext_attr, resize_inode, dir_index.
        static let compatible: UInt32 = 0x4 | 0x8 | 0x10 | 0x20
        /// filetype, extent, 64bit, flex_bg.
        static let incompatible: UInt32 = 0x2 | 0x40 | 0x80 | 0x200
        /// sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum.
        static let readOnlyCompatible: UInt32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400
    }
}
