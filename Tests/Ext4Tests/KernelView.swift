// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// What the kernel says of one file, without following links.
struct KernelView {
    let status: stat
    let xattrs: [[UInt8]: [UInt8]]

    init(_ path: [UInt8]) throws {
        let text = path.map { CChar(bitPattern: $0) } + [0]
        var info = stat()
        if lstat(text, &info) < 0 { throw SystemError.last("lstat", String(decoding: path, as: UTF8.self)) }
        status = info
        xattrs = try Ext4Tests.xattrs(of: path)
    }

    static func target(_ path: [UInt8]) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: 8192)
        let count = readlink(path.map { CChar(bitPattern: $0) } + [0], &buffer, buffer.count)
        return buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
    }

    /// Names in a directory, sorted by their bytes.
    static func names(_ path: [UInt8]) -> [[UInt8]] {
        guard let stream = opendir(path.map { CChar(bitPattern: $0) } + [0]) else { return [] }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [46] && name != [46, 46] { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }
}
