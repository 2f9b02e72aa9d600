// SPDX-License-Identifier: Apache-2.0

import Glibc

extension File {
    /// Reads a small file whose length is not known beforehand, such as those of /proc and /sys.
    public static func small(_ path: String, limitBytes: Int = 16 << 20) throws(SystemError) -> [UInt8] {
        let file = try File(open: path, O_RDONLY)
        var bytes: [UInt8] = []
        while bytes.count < limitBytes {
            let piece = try file.read(count: 65536, at: UInt64(bytes.count))
            if piece.isEmpty { return bytes }
            bytes += piece
        }
        throw SystemError(EFBIG, "read", path)
    }
}
