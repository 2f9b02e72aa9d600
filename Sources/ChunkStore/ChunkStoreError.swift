// SPDX-License-Identifier: Apache-2.0

public import Base
import Glibc

/// Why the chunk store could not do what it was asked.
public enum ChunkStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A system call failed for a reason that has no case of its own.
    case system(SystemError)
    /// The file system that holds the store has no room left.
    case full(path: String)
    /// The store holds no chunk of this name.
    case missingChunk(Digest)
    /// The chunk is known, but has not been fetched.
    case absentChunk(Digest)
    /// Bytes that were fetched are not those of the chunk.
    case wrongBytes(Digest)
    /// A table of places that breaks its own format, or does not fit its map.
    case badPlaces(reason: String)
    /// All numbers of sources are taken.
    case tooManySources(limit: Int)
    /// Bytes were read whose digest is not the one that they are stored under.
    case damagedChunk(Digest, path: String, offset: UInt64)
    /// The index is not one, or has been made by a newer program.
    case unreadableIndex(path: String, reason: String)
    /// Data could not be made durable; nothing of this session may be relied on.
    case notDurable(SystemError)
    /// The index could not be made durable earlier; the store only reads until it is opened again.
    case readOnly(path: String)
    /// All arena numbers are taken.
    case tooManyArenas(limit: Int)
    /// The session has been released, or an earlier call on it has failed.
    case sessionEnded
    /// A pack that breaks its own format, or holds bytes that do not match their digest.
    case badPack(name: String, reason: String)
    /// A backend refused a name, or has no object of that name.
    case badObject(name: String, reason: String)

    public var description: String {
        switch self {
        case .system(let error): "chunk store: \(error)"
        case .full(let path):
            "\(path): the file system is full; remove images or volumes, or give it more space"
        case .missingChunk(let digest): "chunk \(digest) is not in the store; import or pull the image again"
        case .absentChunk(let digest):
            "chunk \(digest) has not been fetched; fill the image, or check that its source can be reached"
        case .wrongBytes(let digest):
            "bytes fetched as chunk \(digest) are not those of the chunk; its source is damaged or lies"
        case .badPlaces(let reason): "the table of places \(reason); pull the image again"
        case .tooManySources(let limit):
            "the chunk store knows \(limit) sources, its limit; restart the daemon to forget unused ones"
        case .damagedChunk(let digest, let path, let offset):
            "\(path): chunk \(digest) at byte \(offset) is damaged; import or pull the image again"
        case .unreadableIndex(let path, let reason): "\(path): not a usable chunk index: \(reason)"
        case .notDurable(let error):
            "\(error.subject): data could not be made durable (\(error.reason)); check the disk, import again"
        case .readOnly(let path):
            "\(path): an earlier write could not be made durable; check the disk and restart the daemon"
        case .tooManyArenas(let limit):
            "the chunk store has \(limit) arenas, its limit; remove images that are not needed"
        case .sessionEnded: "the ingest session has ended or failed; begin a new one"
        case .badPack(let name, let reason): "pack \(name): \(reason); fetch it again"
        case .badObject(let name, let reason): "object \(name): \(reason)"
        }
    }

    /// The case that fits a failed call: a full disk is told apart from the rest.
    init(_ error: SystemError) {
        self = error.code == ENOSPC || error.code == EDQUOT ? .full(path: error.subject) : .system(error)
    }
}
