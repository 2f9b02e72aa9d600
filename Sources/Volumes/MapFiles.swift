// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Synchronization

/// The directory of block maps: one file for each, named by its digest, written once and never changed.
struct MapFiles: Sendable {
    /// A map of 16 TiB in blocks of their own would be larger; nothing real comes near.
    private static let maximumBytes: UInt64 = 4 << 30
    private static let suffix = ".map"

    let directory: String

    func path(_ digest: Digest) -> String { directory + "/" + digest.hex + Self.suffix }

    /// The digest that a file's name gives; nil for a name that no map has.
    static func digest(ofName name: String) -> Digest? {
        name.hasSuffix(suffix) ? Digest(hex: name.dropLast(suffix.count)) : nil
    }

    /// Makes the file and makes it durable, unless it is there.
    func write(_ encoded: [UInt8], _ digest: Digest) throws(VolumeError) {
        let path = path(digest)
        do throws(SystemError) {
            if let size = try? File(open: path, O_RDONLY).size(), size == UInt64(encoded.count) { return }
            let temporary = "\(path).\(UInt64.random(in: 0 ... .max)).new"
            do throws(SystemError) {
                let file = try File(open: temporary, O_WRONLY | O_CREAT | O_EXCL)
                try file.write(encoded, at: 0)
                try file.synchronizeData()
                if rename(temporary, path) < 0 { throw SystemError.last("rename", temporary) }
                try Directories.synchronize(directory)
            } catch {
                unlink(temporary)
                throw error
            }
        } catch {
            throw .system(error)
        }
    }

    /// Reads a map back and checks that it is the one that its name promises.
    func read(_ digest: Digest) throws -> BlockMap {
        let file = try File(open: path(digest), O_RDONLY)
        let size = try file.size()
        if size > Self.maximumBytes { throw BlockMapError.invalid("\(size) bytes long") }
        let bytes = try file.read(count: Int(size), at: 0)
        let found = Digest(hashing: bytes)
        if found != digest { throw BlockMapError.checksumMismatch }
        return try BlockMap(decoding: bytes)
    }

    func remove(_ digest: Digest) {
        unlink(path(digest))
    }
}
