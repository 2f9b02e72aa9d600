// SPDX-License-Identifier: Apache-2.0

import Glibc

extension Files {
    /// All names in a directory but `.` and `..`, in no order.
    static func entries(of directory: String) throws(BenchError) -> [String] {
        guard let stream = opendir(directory) else { throw .last("opendir", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// What it is, links not followed.
    static func status(_ path: String) throws(BenchError) -> stat {
        var info = stat()
        if lstat(path, &info) < 0 { throw .last("lstat", path) }
        return info
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func size(_ path: String) throws(BenchError) -> Int { Int(try status(path).st_size) }

    /// Sets both times of a file, a link itself rather than what it points to.
    static func setTime(_ path: String, seconds: Int) throws(BenchError) {
        let time = timespec(tv_sec: seconds, tv_nsec: 0)
        if utimensat(AT_FDCWD, path, [time, time], AT_SYMLINK_NOFOLLOW) < 0 {
            throw .last("utimensat", path)
        }
    }

    /// Makes a directory and those it is in.
    static func makeDirectories(_ path: String) throws(BenchError) {
        if exists(path) { return }
        if let slash = path.dropFirst().lastIndex(of: "/") { try makeDirectories(String(path[..<slash])) }
        if mkdir(path, 0o755) < 0, errno != EEXIST { throw .last("mkdir", path) }
    }

    static func rename(_ old: String, to new: String) throws(BenchError) {
        if Glibc.rename(old, new) < 0 { throw .last("rename", new) }
    }

    /// An extended attribute, links not followed; nil when the file has none of that name.
    static func attribute(_ name: String, of path: String) -> [UInt8]? {
        guard let read = getAttribute else { return nil }
        var value = [UInt8](repeating: 0, count: 256)
        let count = read(path, name, &value, value.count)
        return count < 0 ? nil : Array(value[..<count])
    }

    private typealias GetAttribute =
        @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer, Int) -> Int

    /// The C library has it in a header that the Glibc module leaves out.
    private static let getAttribute = dlsym(nil, "lgetxattr").map { unsafeBitCast($0, to: GetAttribute.self) }
}
