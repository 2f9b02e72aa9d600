// SPDX-License-Identifier: Apache-2.0

public import Base
public import ChunkStore
import Glibc

/// Why an operation on the state directory, an image or a volume failed; each text says what to do.
public enum VolumeError: Error, Sendable, CustomStringConvertible {
    /// The name breaks the rules of `Names`.
    case badName(String, reason: String)
    /// An image or a volume has the name already.
    case nameTaken(String, by: EntryKind)
    /// Nothing has the name; `nearest` is a name that differs little from it.
    case notFound(EntryKind?, String, nearest: String?)
    /// The volume is mounted or otherwise held.
    case inUse(String, reason: String)
    /// What is on disk for this image or volume is damaged.
    case broken(String, reason: String)
    /// Blocks are needed that have not been fetched; whoever can fetch them does, and tries again.
    case absent(String, AbsentBlocks)
    /// Blocks that are needed could not be fetched.
    case notFetched(String, reason: String)
    /// Another daemon holds the state directory.
    case rootLocked(String)
    /// A newer version of this program wrote the state directory.
    case newerFormat(Int, root: String)
    /// A length or an offset that no volume can have.
    case invalidRange(String, reason: String)
    /// An earlier flush of this volume failed: what was written since the one before may be lost.
    case flushFailed(String, reason: String)
    case system(SystemError)
    case chunks(ChunkStoreError)
    /// The catalog's database refused.
    case catalog(String)

    public var description: String {
        switch self {
        case .badName(let name, let reason): "name '\(name)' \(reason)"
        case .nameTaken(let name, let kind):
            "\(kind) '\(name)' exists already; choose another name or remove it first"
        case .notFound(let kind, let name, let nearest):
            "no \(kind?.rawValue ?? "image or volume") is named '\(name)'; "
                + (nearest.map { "did you mean '\($0)'?" }
                    ?? "list the names with 'slacker images' and 'slacker volumes'")
        case .inUse(let name, let reason): "volume '\(name)' is in use: \(reason); end that first"
        case .broken(let name, let reason): "'\(name)' is damaged and cannot be used: \(reason); remove it"
        case .absent(let name, let blocks):
            "'\(name)': blocks in \(blocks.range) have not been fetched; fill the image first"
        case .notFetched(let name, let reason): "'\(name)': blocks could not be fetched: \(reason)"
        case .rootLocked(let root):
            "\(root): another slacker daemon uses this state directory; stop it or choose another --root"
        case .newerFormat(let version, let root):
            "\(root): written by a newer slacker (format \(version)); "
                + "upgrade slacker or choose another --root"
        case .invalidRange(let name, let reason): "'\(name)': \(reason)"
        case .flushFailed(let name, let reason):
            "volume '\(name)': a flush failed earlier (\(reason)), recent writes may be lost; "
                + "check the disk, then restart the daemon"
        case .system(let error):
            error.code == ENOSPC ? "\(error); free space on the disk that holds it" : "\(error)"
        case .chunks(let error): "\(error)"
        case .catalog(let reason): "catalog: \(reason)"
        }
    }

    /// The error number that a file operation answers with; the one table for that.
    public var errorNumber: Int32 {
        switch self {
        case .badName, .invalidRange: EINVAL
        case .nameTaken: EEXIST
        case .notFound: ENOENT
        case .inUse, .rootLocked: EBUSY
        case .system(let error): error.code
        case .broken, .absent, .notFetched, .newerFormat, .flushFailed, .chunks, .catalog: EIO
        }
    }
}

/// What a name stands for.
public enum EntryKind: String, Sendable, CustomStringConvertible {
    case image, volume

    public var description: String { rawValue }
}
