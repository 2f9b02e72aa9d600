// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The few file operations that a benchmark needs besides those of the programs it runs.
enum Files {
    static func text(_ path: String) -> String? {
        bytes(path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The whole content; nil when it cannot be opened, `errno` saying why.
    static func bytes(_ path: String) -> [UInt8]? {
        guard let stream = fopen(path, "re") else { return nil }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return bytes
    }

    /// Makes a file, or replaces its content.
    static func write(_ content: [UInt8], to path: String, mode: mode_t = 0o644) throws(BenchError) {
        guard let stream = fopen(path, "we") else { throw .last("open", path) }
        let written = fwrite(content, 1, content.count, stream)
        if fclose(stream) != 0 || written != content.count { throw .last("write", path) }
        if chmod(path, mode) < 0 { throw .last("chmod", path) }
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

    /// The parts of a file that are not holes, as its file system tells by SEEK_DATA and SEEK_HOLE.
    static func dataRuns(of path: String) throws(BenchError) -> [Range<UInt64>] {
        let seekData: Int32 = 3
        let seekHole: Int32 = 4
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw .last("open", path) }
        defer { close(descriptor) }
        var runs: [Range<UInt64>] = []
        var position: off_t = 0
        while true {
            let data = lseek(descriptor, position, seekData)
            if data < 0, errno == ENXIO { return runs }
            let hole = data < 0 ? -1 : lseek(descriptor, data, seekHole)
            if hole <= data { throw .last("lseek", path) }
            runs.append(UInt64(data)..<UInt64(hole))
            position = hole
        }
    }

    static func isMounted(_ path: String) -> Bool {
        (text("/proc/mounts") ?? "").split(separator: "\n").contains { line in
            line.split(separator: " ").dropFirst().first.map(String.init) == path
        }
    }
}
