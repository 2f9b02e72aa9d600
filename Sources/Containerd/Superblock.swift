// SPDX-License-Identifier: Apache-2.0

import Volumes

/// Counters in the superblock of an ext4 that is not mounted, or held still.
struct Superblock {
    let usedInodes: UInt64
    let freeBytes: UInt64
    let sizeBytes: UInt64

    /// Bytes from the start of the file system, and of the superblock.
    private static let offset: UInt64 = 1024
    private static let count = 1024
    /// Offsets of the counters, 32 bits each; numbers of blocks have their upper half elsewhere.
    private static let inodes = 0
    private static let freeInodes = 16
    private static let blocks = (low: 4, high: 0x150)
    private static let freeBlocks = (low: 12, high: 0x158)
    private static let blockBytes: UInt64 = 4096

    init(ofImage name: String, _ store: VolumeStore) throws(VolumeError) {
        self.init(
            try store.blockFile(image: name)
                .read(offset: Self.offset, count: Self.count, fetchingWith: nil))
    }

    init(ofVolume name: String, _ store: VolumeStore) throws(VolumeError) {
        self.init(
            try store.blockFile(volume: name)
                .read(offset: Self.offset, count: Self.count, fetchingWith: nil))
    }

    private init(_ read: [UInt8]) {
        let bytes = read.count == Self.count ? read : [UInt8](repeating: 0, count: Self.count)
        func number(_ offset: Int) -> UInt64 {
            (0..<4).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        }
        func blocks(_ place: (low: Int, high: Int)) -> UInt64 {
            number(place.low) | number(place.high) << 32
        }
        let (all, free) = (number(Self.inodes), number(Self.freeInodes))
        usedInodes = all > free ? all - free : 0
        freeBytes = blocks(Self.freeBlocks).multipliedReportingOverflow(by: Self.blockBytes).partialValue
        sizeBytes = blocks(Self.blocks).multipliedReportingOverflow(by: Self.blockBytes).partialValue
    }
}
