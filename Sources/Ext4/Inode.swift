// SPDX-License-Identifier: Apache-2.0

/// An inode as it was read.
public struct Inode: Sendable {
    public let number: UInt32
    public let kind: FileKind
    /// `st_mode`: type and permissions.
    public let mode: UInt16
    public let owner: UInt32
    public let group: UInt32
    /// 1 for a directory may mean that nobody counts.
    public let linkCount: UInt16
    public let sizeBytes: UInt64
    public let modified: Timestamp
    public let accessed: Timestamp
    public let changed: Timestamp
    /// Bytes that the inode takes in blocks, those of its metadata among them.
    public let allocatedBytes: UInt64
    let flags: UInt32
    let pointers: [UInt8]
    let attributeBlock: UInt64
    /// What follows the fields: attributes, when there are any.
    let tail: [UInt8]

    init(_ bytes: [UInt8], number: UInt32) throws(Ext4Error) {
        self.number = number
        mode = bytes.get(UInt16.self, at: 0)
        guard let kind = FileKind(mode: mode) else {
            throw .damaged("inode \(number) is of no kind (mode 0\(String(mode, radix: 8)))")
        }
        self.kind = kind
        owner = UInt32(bytes.get(UInt16.self, at: 0x02)) | UInt32(bytes.get(UInt16.self, at: 0x78)) << 16
        group = UInt32(bytes.get(UInt16.self, at: 0x18)) | UInt32(bytes.get(UInt16.self, at: 0x7A)) << 16
        linkCount = bytes.get(UInt16.self, at: 0x1A)
        sizeBytes = UInt64(bytes.get(UInt32.self, at: 0x04)) | UInt64(bytes.get(UInt32.self, at: 0x6C)) << 32
        allocatedBytes =
            (UInt64(bytes.get(UInt32.self, at: 0x1C)) | UInt64(bytes.get(UInt16.self, at: 0x74)) << 32) &* 512
        flags = bytes.get(UInt32.self, at: 0x20)
        pointers = Array(bytes[0x28..<0x64])
        attributeBlock =
            UInt64(bytes.get(UInt32.self, at: 0x68)) | UInt64(bytes.get(UInt16.self, at: 0x76)) << 32
        let extra = bytes.count > 128 ? Int(bytes.get(UInt16.self, at: 0x80)) : 0
        guard 128 + extra <= bytes.count, extra % 4 == 0 else {
            throw .damaged("inode \(number) has \(extra) extra bytes, which do not fit")
        }
        changed = Self.time(bytes, at: 0x0C, extra: extra >= 8 ? 0x84 : nil)
        modified = Self.time(bytes, at: 0x10, extra: extra >= 12 ? 0x88 : nil)
        accessed = Self.time(bytes, at: 0x08, extra: extra >= 16 ? 0x8C : nil)
        tail = bytes.count > 128 ? Array(bytes[(128 + extra)...]) : []
        if flags & Layout.InodeFlag.inlineData != 0 {
            throw .unsupportedFeature("inline_data, in inode \(number)")
        }
    }

    private static func time(_ bytes: [UInt8], at offset: Int, extra: Int?) -> Timestamp {
        let seconds = Int64(bytes.get(Int32.self, at: offset))
        guard let extra else { return Timestamp(seconds: seconds) }
        let word = bytes.get(UInt32.self, at: extra)
        return Timestamp(seconds: seconds + Int64(word & 3) << 32, nanoseconds: min(word >> 2, 999_999_999))
    }

    /// The numbers of a device; zeros for other kinds.
    public var device: (major: UInt32, minor: UInt32) {
        guard kind == .characterDevice || kind == .blockDevice else { return (0, 0) }
        let old = pointers.get(UInt32.self, at: 0)
        if old != 0 { return (old >> 8 & 0xFF, old & 0xFF) }
        let new = pointers.get(UInt32.self, at: 4)
        return (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)
    }
}
