// SPDX-License-Identifier: Apache-2.0

/// The fields of an inode that is written.
struct InodeRecord {
    var mode: UInt16
    var owner: UInt32 = 0
    var group: UInt32 = 0
    var links: UInt32 = 1
    var sizeBytes: UInt64 = 0
    /// Blocks that belong to the inode: content, branches of its extent tree, attributes.
    var blockCount: UInt64 = 0
    var flags: UInt32 = 0
    var modified = Timestamp.zero
    var accessed = Timestamp.zero
    var changed = Timestamp.zero
    /// The 60 bytes of `i_block`.
    var pointers = [UInt8](zeros: 60)
    var attributeBlock: UInt32 = 0
    /// Attributes within the inode: empty or `XattrLayout.bodyBytes`.
    var body: [UInt8] = []

    /// Writes the inode with its checksum.
    func encode(into bytes: inout [UInt8], at start: Int, number: UInt32, seed: ChecksumSeed) {
        bytes.put(mode, at: start)
        bytes.put(UInt16(truncatingIfNeeded: owner), at: start + 0x02)
        bytes.put(UInt32(truncatingIfNeeded: sizeBytes), at: start + 0x04)
        bytes.put(UInt16(truncatingIfNeeded: group), at: start + 0x18)
        bytes.put(UInt16(links), at: start + 0x1A)
        let sectors = blockCount * 8
        bytes.put(UInt32(truncatingIfNeeded: sectors), at: start + 0x1C)
        bytes.put(flags, at: start + 0x20)
        bytes.put(pointers, at: start + 0x28)
        bytes.put(attributeBlock, at: start + 0x68)
        bytes.put(UInt32(truncatingIfNeeded: sizeBytes >> 32), at: start + 0x6C)
        bytes.put(UInt16(truncatingIfNeeded: sectors >> 32), at: start + 0x74)
        bytes.put(UInt16(truncatingIfNeeded: owner >> 16), at: start + 0x78)
        bytes.put(UInt16(truncatingIfNeeded: group >> 16), at: start + 0x7A)
        bytes.put(UInt16(Layout.extraInodeBytes), at: start + 0x80)
        Self.put(accessed, in: &bytes, at: start + 0x08, extra: start + 0x8C)
        Self.put(changed, in: &bytes, at: start + 0x0C, extra: start + 0x84)
        Self.put(modified, in: &bytes, at: start + 0x10, extra: start + 0x88)
        // The time of birth: a tree does not know one.
        Self.put(modified, in: &bytes, at: start + 0x90, extra: start + 0x94)
        if !body.isEmpty { bytes.put(body, at: start + 128 + Layout.extraInodeBytes) }
        let checksum = seed.inode(number).checksum(bytes.span.extracting(start..<start + Layout.inodeBytes))
        bytes.put(UInt16(truncatingIfNeeded: checksum), at: start + 0x7C)
        bytes.put(UInt16(truncatingIfNeeded: checksum >> 16), at: start + 0x82)
    }

    /// 34 bits of seconds and 30 of nanoseconds; two bits of the extra word count epochs of 2^32 seconds.
    private static func put(_ time: Timestamp, in bytes: inout [UInt8], at offset: Int, extra: Int) {
        let earliest = -Int64(1 << 31)
        let latest = Int64(1) << 34 + earliest - 1
        let seconds = min(max(time.seconds, earliest), latest)
        let low = Int32(truncatingIfNeeded: seconds)
        let epoch = UInt32(truncatingIfNeeded: (seconds - Int64(low)) >> 32) & 3
        bytes.put(low, at: offset)
        bytes.put(epoch | time.nanoseconds << 2, at: extra)
    }
}
