// SPDX-License-Identifier: Apache-2.0

/// What stands behind a key.
public enum KeyKind: Int64, Sendable {
    /// Shows its parent, read-only.
    case view = 1
    /// A volume.
    case active = 2
    /// An image, which nobody changes any more and on which others may be made.
    case committed = 3
}

/// What the catalog knows of a key: a name that another program, such as containerd, has given a snapshot or
/// a volume, with what that program keeps about it.
public struct KeyRecord: Sendable, Equatable {
    public internal(set) var key: String
    /// The key below; empty for none.
    public internal(set) var parent: String
    public internal(set) var kind: KeyKind
    /// The volume or the image of the store; empty for a committed key that has none yet.
    ///
    /// That of an active or committed key is its own and goes with it; that of a view is its parent's.
    public internal(set) var entry: String
    /// Of a committed key that stands for layers of an image in a registry: which image.
    public internal(set) var origin: String
    /// How many of the layers of that image, from the lowest.
    public internal(set) var depth: Int
    public internal(set) var labels: [String: String]
    /// Nanoseconds since 1970.
    public internal(set) var createdNs: Int64
    public internal(set) var updatedNs: Int64
    /// Of a committed key: bytes and inodes that it has beyond its parent.
    public internal(set) var usage: KeyUsage
}

/// What a key takes beyond its parent.
public struct KeyUsage: Sendable, Equatable {
    public var bytes: UInt64
    public var inodes: UInt64

    public init(bytes: UInt64 = 0, inodes: UInt64 = 0) {
        self.bytes = bytes
        self.inodes = inodes
    }
}

/// Why a call about a key was refused.
public enum KeyError: Error, Sendable, CustomStringConvertible {
    case exists(String)
    case notFound(String)
    /// It is not in the state for that; the text says what is.
    case precondition(String)
    case invalid(String)
    case store(VolumeError)

    public var description: String {
        switch self {
        case .exists(let key): "snapshot \(key) exists already"
        case .notFound(let key): "snapshot \(key) does not exist"
        case .precondition(let text), .invalid(let text): text
        case .store(let error): "\(error)"
        }
    }
}
