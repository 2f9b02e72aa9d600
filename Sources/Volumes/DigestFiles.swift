// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// A directory of files that are named by a digest and an ending, each written whole or not at all.
struct DigestFiles: Sendable {
    let directory: String
    /// With its dot.
    let suffix: String
    /// A longer file is not read: nothing real comes near.
    let maximumBytes: UInt64

    func name(_ digest: Digest) -> String { digest.hex + suffix }

    func path(_ digest: Digest) -> String { directory + "/" + name(digest) }

    func exists(_ digest: Digest) -> Bool { Directories.exists(path(digest)) }

    /// Makes the file or replaces it; durable when it returns.
    func write(_ bytes: [UInt8], _ digest: Digest) throws(SystemError) {
        let path = path(digest)
        let temporary = "\(path).\(UInt64.random(in: 0 ... .max)).new"
        do throws(SystemError) {
            let file = try File(open: temporary, O_WRONLY | O_CREAT | O_EXCL)
            try file.write(bytes, at: 0)
            try file.synchronizeData()
            if rename(temporary, path) < 0 { throw SystemError.last("rename", temporary) }
            try Directories.synchronize(directory)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// The whole file; nil when there is none.
    func read(_ digest: Digest) throws(SystemError) -> [UInt8]? {
        let path = path(digest)
        let file: File
        do throws(SystemError) { file = try File(open: path, O_RDONLY) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        let size = try file.size()
        if size > maximumBytes { throw SystemError(EFBIG, "read", path) }
        let bytes = try file.read(count: Int(size), at: 0)
        if bytes.count != Int(size) { throw SystemError(EIO, "read", path) }
        return bytes
    }

    func remove(_ digest: Digest) {
        unlink(path(digest))
    }
}
