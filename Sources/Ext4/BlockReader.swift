// SPDX-License-Identifier: Apache-2.0

/// Where the reader gets blocks from.
public protocol BlockReader {
    /// The 4096 bytes of a block; the caller asks only for blocks that the superblock says are there.
    func read(block: UInt32) throws -> [UInt8]
}
