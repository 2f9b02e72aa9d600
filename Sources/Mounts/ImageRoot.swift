// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// A mounted image seen from outside: every path is resolved as if the mount were `/`, so no link of a
/// hostile image leads out of it (openat2 with RESOLVE_IN_ROOT).
struct ImageRoot: ~Copyable {
    private let directory: OwnedFD
    private let path: String

    /// Bytes of the largest passwd or group file that is read.
    static let fileLimitBytes = 1 << 20

    init(_ path: String) throws(MountsError) {
        self.path = path
        directory = try MountsError.wrapping { () throws(SystemError) in
            try OwnedFD(open: path, Int32(SLK_O_PATH) | O_DIRECTORY)
        }
    }

    func exists(_ name: String) -> Bool {
        guard let found = try? open(name, Int32(SLK_O_PATH)) else { return false }
        _ = consume found
        return true
    }

    /// Type and permissions of what is there, links followed; nil when nothing is.
    func mode(of name: String) -> mode_t? {
        guard let found = try? open(name, Int32(SLK_O_PATH)) else { return nil }
        var info = stat()
        return fstat(found.raw, &info) == 0 ? info.st_mode : nil
    }

    /// The lines of a small text file; none when it is missing or not a regular file.
    func lines(of name: String) throws(MountsError) -> [String] {
        // O_NONBLOCK: a FIFO in the place of the file must not hold us up.
        do throws(SystemError) {
            return try lines(in: try open(name, O_RDONLY | O_NONBLOCK), name)
        } catch {
            if [ENOENT, ENOTDIR, ELOOP, ENXIO].contains(error.code) { return [] }
            throw .system(error)
        }
    }

    private func lines(in opened: consuming OwnedFD, _ name: String) throws(SystemError) -> [String] {
        var info = stat()
        if fstat(opened.raw, &info) < 0 { throw SystemError.last("fstat", path + name) }
        guard info.st_mode & S_IFMT == S_IFREG else { return [] }
        let limit = Self.fileLimitBytes
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            count = retrying { pread(opened.raw, buffer.baseAddress, limit, 0) }
            filled = max(0, count)
        }
        if count < 0 { throw SystemError.last("read", path + name) }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Makes a directory and its missing parents, owned by root; what exists stays as it is.
    func makeDirectories(_ name: String) throws(MountsError) {
        var prefix = ""
        for component in name.split(separator: "/") where component != "." {
            let parent = prefix.isEmpty ? "/" : prefix
            prefix += "/" + component
            if exists(prefix) { continue }
            let holder = try MountsError.wrapping { () throws(SystemError) in
                try open(parent, Int32(SLK_O_PATH) | O_DIRECTORY)
            }
            if mkdirat(holder.raw, String(component), 0o755) < 0 { throw .last("mkdir", path + prefix) }
        }
        let made = try MountsError.wrapping { () throws(SystemError) in
            try open(name, Int32(SLK_O_PATH) | O_DIRECTORY)
        }
        _ = consume made
    }

    private func open(_ name: String, _ flags: Int32) throws(SystemError) -> OwnedFD {
        let all = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        let raw = retrying { slk_openat2(directory.raw, name, all, 0, SLK_RESOLVE_IN_ROOT) }
        if raw < 0 { throw SystemError.last("openat2", path + name) }
        return OwnedFD(taking: raw)
    }
}
