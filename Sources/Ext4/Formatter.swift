// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// Lays a tree out as an ext4 file system without ever writing an image.
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
        throw Ext4Error.invalidOptions("not written yet")
    }
}

/// Where the reader gets blocks from.
public protocol BlockReader {
    /// The 4096 bytes of a block; the caller asks only for blocks that the superblock says are there.
    func read(block: UInt32) throws -> [UInt8]
}
