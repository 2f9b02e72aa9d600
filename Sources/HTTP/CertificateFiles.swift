// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Contents of certificate files, read again when a file has changed.
final class CertificateFiles: Sendable {
    private struct Entry {
        let modified: timespec
        let sizeBytes: Int
        let bytes: [UInt8]
    }

    private static let maximumBytes: UInt64 = 4 << 20

    private let entries = Lock<[String: Entry]>([:])

    /// The files one after the other, nil for none.
    ///
    /// A failure names the one that cannot be read.
    func bytes(of paths: [String]) -> Result<[UInt8], CertificateFileError>? {
        if paths.isEmpty { return nil }
        var all: [UInt8] = []
        for path in paths {
            do throws(SystemError) {
                all += try bytes(of: path)
                all.append(UInt8(ascii: "\n"))
            } catch {
                return .failure(CertificateFileError(reason: "\(error)"))
            }
        }
        return .success(all)
    }

    private func bytes(of path: String) throws(SystemError) -> [UInt8] {
        var info = stat()
        if stat(path, &info) < 0 { throw SystemError.last("stat", path) }
        if let known = entries.withLock({ $0[path] }), known.sizeBytes == Int(info.st_size),
            known.modified.tv_sec == info.st_mtim.tv_sec, known.modified.tv_nsec == info.st_mtim.tv_nsec
        {
            return known.bytes
        }
        let file = try File(open: path, O_RDONLY)
        let size = try file.size()
        if size > Self.maximumBytes { throw SystemError(EFBIG, "read", path) }
        let bytes = try file.read(count: Int(size), at: 0)
        entries.withLock {
            $0[path] = Entry(modified: info.st_mtim, sizeBytes: Int(info.st_size), bytes: bytes)
        }
        return bytes
    }
}

/// A certificate file that cannot be read.
struct CertificateFileError: Error {
    let reason: String
}
