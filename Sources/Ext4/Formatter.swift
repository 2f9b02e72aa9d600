// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// Lays a tree out as an ext4 file system without ever writing an image.
///
/// The disk format is that of `Documentation/filesystems/ext4` in the Linux kernel, with the features
/// has_journal, ext_attr, resize_inode, dir_index, filetype, extent, 64bit, flex_bg, sparse_super,
/// large_file, huge_file, dir_nlink, extra_isize and metadata_csum. There is no `lost+found`.
public struct Formatter {
    /// Decides where everything lies and returns the complete block map: file data as the chunks of the tree,
    /// metadata as new chunks.
    /// - Parameters:
    ///   - store: takes the bytes of 1 to 16 whole metadata blocks and returns their descriptor; nil when it
    ///     finds only zeros (which it is never given).
    /// - Throws: `Ext4Error` when ext4 cannot hold the tree, and whatever `store` throws.
    public static func format(
        _ tree: FileTree, options: FormatOptions = FormatOptions(),
        store: (_ metadata: [UInt8]) throws -> ChunkDescriptor?
    ) throws -> BlockMap {
        try options.validate()
        let inventory = try Inventory(tree)
        let placement = try place(tree, inventory, options)
        return try withoutActuallyEscaping(store) { store in
            var writer = MetadataWriter(tree, inventory, placement, options, store)
            try writer.write()
            return writer.finish()
        }
    }

    private static func place(
        _ tree: FileTree, _ inventory: Inventory, _ options: FormatOptions
    ) throws(Ext4Error) -> Placement {
        let journal = UInt32(options.journalBytes / UInt64(Block.bytes))
        // Room for new files: an eighth, and a thousand more.
        let inodes = UInt64(inventory.lastInode) * 9 / 8 + 1024
        var size = options.sizeBytes ?? defaultSize(inventory)
        while true {
            do throws(Ext4Error) {
                let geometry = try Geometry(
                    blocks: size / UInt64(Block.bytes), inodesWanted: inodes,
                    bytesPerInode: options.bytesPerInode)
                return try Placement(tree, inventory, geometry, journalBlocks: journal)
            } catch {
                // Only a chosen size is a reason to fail, and a size that no file system has.
                guard options.sizeBytes == nil, case .doesNotFit = error, size < 1 << 43 else { throw error }
                size *= 2
            }
        }
    }

    /// The content and as much again, in whole GiB, 16 GiB at least.
    private static func defaultSize(_ inventory: Inventory) -> UInt64 {
        let gibibyte: UInt64 = 1 << 30
        let content = inventory.contentBlocks * UInt64(Block.bytes)
        return max(16 * gibibyte, (2 * content + gibibyte - 1) / gibibyte * gibibyte)
    }
}

extension FormatOptions {
    fileprivate func validate() throws(Ext4Error) {
        if uuid.count != 16 { throw .invalidOptions("a UUID has 16 bytes, not \(uuid.count)") }
        if label.utf8.count > 16 { throw .invalidOptions("the label \(label) is longer than 16 bytes") }
        let journal = journalBytes / UInt64(Block.bytes)
        if journalBytes % UInt64(Block.bytes) != 0 || journal < Journal.minimumBlocks
            || journal > Journal.maximumBlocks
        {
            throw .invalidOptions("a journal has 4 MiB to 128 MiB in whole blocks, not \(journalBytes) bytes")
        }
        if let sizeBytes, sizeBytes % UInt64(Block.bytes) != 0 {
            throw .invalidOptions("a size of \(sizeBytes) bytes is not a multiple of \(Block.bytes)")
        }
        if !(1024...1 << 26).contains(bytesPerInode) {
            throw .invalidOptions("one inode for 1 KiB to 64 MiB, not for \(bytesPerInode) bytes")
        }
    }
}
