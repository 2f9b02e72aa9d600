// SPDX-License-Identifier: Apache-2.0

import Volumes

/// Counters in the superblock of an ext4 that is not mounted, or held still.
enum Superblock {
    /// Bytes from the start of the file system, and of the superblock.
    private static let offset: UInt64 = 1024
    private static let count = 1024
    /// Offsets of the counters, 32 bits each.
    private static let inodes = 0
    private static let freeInodes = 16

    static func usedInodes(ofImage name: String, _ store: VolumeStore) throws(VolumeError) -> UInt64 {
        usedInodes(
            try store.blockFile(image: name).read(offset: offset, count: count, fetchingWith: nil))
    }

    static func usedInodes(ofVolume name: String, _ store: VolumeStore) throws(VolumeError) -> UInt64 {
        usedInodes(
            try store.blockFile(volume: name).read(offset: offset, count: count, fetchingWith: nil))
    }

    private static func usedInodes(_ bytes: [UInt8]) -> UInt64 {
        guard bytes.count == count else { return 0 }
        let all = number(bytes, inodes)
        let free = number(bytes, freeInodes)
        return all > free ? all - free : 0
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        (0..<4).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
}
