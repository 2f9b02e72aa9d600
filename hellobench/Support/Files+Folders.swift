// SPDX-License-Identifier: Apache-2.0

import Glibc

extension Files {
    /// The names in a folder, but those that begin with a dot; none when it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let folder = opendir(directory) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// Reads a file to its end, so that the kernel has it in memory; one that has gone is no error.
    static func readThrough(_ path: String) throws(BenchError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return }
        if descriptor < 0 { throw .last("open", path) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .last("read", path) }
            if count == 0 { return }
        }
    }
}
