// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux

/// The attributes of a file, without following links.
func xattrs(of path: [UInt8]) throws -> [[UInt8]: [UInt8]] {
    let text = path.map { CChar(bitPattern: $0) } + [0]
    var buffer = [CChar](repeating: 0, count: 65536)
    let count = llistxattr(text, &buffer, buffer.count)
    if count < 0 { throw SystemError.last("llistxattr", String(decoding: path, as: UTF8.self)) }
    var found: [[UInt8]: [UInt8]] = [:]
    for name in buffer[..<count].split(separator: 0) {
        var value = [UInt8](repeating: 0, count: 65536)
        let size = lgetxattr(text, Array(name) + [0], &value, value.count)
        if size < 0 { throw SystemError.last("lgetxattr", String(decoding: path, as: UTF8.self)) }
        found[name.map { UInt8(bitPattern: $0) }] = Array(value[..<size])
    }
    return found
}

func deviceNumbers(_ device: UInt) -> (major: UInt32, minor: UInt32) {
    (gnu_dev_major(device), gnu_dev_minor(device))
}
