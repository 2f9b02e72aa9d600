// SPDX-License-Identifier: Apache-2.0

/// A point in time as `stat` gives it.
public struct Timestamp: Hashable, Sendable {
    /// Seconds since the start of 1970, UTC.
    ///
    /// ext4 holds -2^31 ..< 2^34 - 2^31; what lies outside is clamped.
    public var seconds: Int64
    /// 0 ..< 1,000,000,000.
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        precondition(nanoseconds < 1_000_000_000, "nanoseconds stay below one second")
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// The start of 1970.
    public static let zero = Timestamp(seconds: 0)
}

/// An extended attribute as `getxattr` gives it.
public struct Xattr: Hashable, Sendable {
    /// The full name with its prefix, such as `security.capability`.
    public var name: [UInt8]
    /// The value in the form that user space sees; ACLs are converted when they are written and when they are
    /// read.
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// What an inode is, apart from its permissions.
public enum FileKind: UInt8, Sendable, Hashable, CaseIterable {
    // The raw values are those of a directory entry's type byte.
    case file = 1
    case directory = 2
    case characterDevice = 3
    case blockDevice = 4
    case fifo = 5
    case socket = 6
    case symlink = 7

    /// The type bits of `st_mode`.
    public var modeBits: UInt16 {
        switch self {
        case .file: 0o100000
        case .directory: 0o040000
        case .characterDevice: 0o020000
        case .blockDevice: 0o060000
        case .fifo: 0o010000
        case .socket: 0o140000
        case .symlink: 0o120000
        }
    }

    /// The kind that the type bits of a mode say; nil for bits that mean nothing.
    public init?(mode: UInt16) {
        guard let kind = Self.allCases.first(where: { $0.modeBits == mode & 0o170000 }) else { return nil }
        self = kind
    }
}
