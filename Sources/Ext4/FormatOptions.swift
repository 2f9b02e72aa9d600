// SPDX-License-Identifier: Apache-2.0

/// What a formatted file system looks like, apart from its files.
///
/// Equal options and trees give equal bytes.
public struct FormatOptions: Sendable, Equatable {
    /// The virtual size, a multiple of the block size; nil: the content and as much again, 16 GiB at least.
    ///
    /// Space that holds nothing costs nothing: its groups are marked as not initialised.
    public var sizeBytes: UInt64?
    /// The identity of the file system, 16 bytes.
    ///
    /// It is the seed of every metadata checksum, so all file systems share one by default: equal metadata of
    /// two images is then equal in bytes, and stored once.
    public var uuid: [UInt8]
    /// Up to 16 bytes of UTF-8.
    public var label: String
    /// The journal's length: 4 MiB to 128 MiB, a multiple of the block size.
    public var journalBytes: UInt64
    /// One inode for so many bytes of the volume; a tree that needs more gets more.
    public var bytesPerInode: UInt64

    public init(
        sizeBytes: UInt64? = nil, uuid: [UInt8] = Self.defaultUUID, label: String = "",
        journalBytes: UInt64 = 64 << 20, bytesPerInode: UInt64 = 16384
    ) {
        self.sizeBytes = sizeBytes
        self.uuid = uuid
        self.label = label
        self.journalBytes = journalBytes
        self.bytesPerInode = bytesPerInode
    }

    /// 736c6163-6b65-4272-8000-657874340001, a version 4 UUID that spells the project's name.
    public static let defaultUUID: [UInt8] = [
        0x73, 0x6C, 0x61, 0x63, 0x6B, 0x65, 0x42, 0x72, 0x80, 0x00, 0x65, 0x78, 0x74, 0x34, 0x00, 0x01,
    ]
}
