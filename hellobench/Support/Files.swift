// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The few file operations that a benchmark needs besides those of the programs it runs.
enum Files {
    static func text(_ path: String) -> String? {
        guard let stream = fopen(path, "re") else { return nil }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func makeDirectory(_ path: String) throws(BenchError) {
        if mkdir(path, 0o700) < 0, errno != EEXIST { throw .last("mkdir", path) }
    }

    /// A new directory that nobody else has.
    static func makeTemporaryDirectory(in parent: String) throws(BenchError) -> String {
        var template = Array((parent + "/slacker-hellobench.XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else { throw .last("mkdtemp", parent) }
        return String(cString: made)
    }

    static func freeBytes(in directory: String) throws(BenchError) -> UInt64 {
        var info = statvfs()
        if statvfs(directory, &info) < 0 { throw .last("statvfs", directory) }
        return UInt64(info.f_bavail) * UInt64(info.f_frsize)
    }

    /// Bytes of the first `limit` ones that are not holes, as the file system tells by SEEK_DATA and SEEK_HOLE.
    static func dataBytes(of path: String, limit: UInt64) throws(BenchError) -> UInt64 {
        let seekData: Int32 = 3
        let seekHole: Int32 = 4
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw .last("open", path) }
        defer { close(descriptor) }
        var total: UInt64 = 0
        var position: off_t = 0
        while position < off_t(limit) {
            let data = lseek(descriptor, position, seekData)
            if data < 0 { break }
            let hole = lseek(descriptor, data, seekHole)
            if hole <= data { break }
            total += UInt64(max(0, min(hole, off_t(limit)) - min(data, off_t(limit))))
            position = hole
        }
        return total
    }

    static func isMounted(_ path: String) -> Bool {
        (text("/proc/mounts") ?? "").split(separator: "\n").contains { line in
            line.split(separator: " ").dropFirst().first.map(String.init) == path
        }
    }
}
