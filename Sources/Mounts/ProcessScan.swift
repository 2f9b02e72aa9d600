// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Looks through /proc for who keeps a mount busy.
///
/// Link texts only: nothing on the mount itself is touched.
enum ProcessScan {
    /// The first process that has its working directory, root, program or an open file below a directory, as
    /// `NAME (process N)`.
    static func holder(of directory: String) -> String? {
        guard let names = try? Directories.names(in: "/proc") else { return nil }
        for name in names {
            guard let process = Int32(name), process != getpid() else { continue }
            let base = "/proc/\(process)"
            let links = ["cwd", "root", "exe"].map { "\(base)/\($0)" } + openFiles(base)
            if links.contains(where: { isBelow(directory, linkText($0)) }) {
                return "\(title(base)) (process \(process))"
            }
        }
        return nil
    }

    private static func openFiles(_ base: String) -> [String] {
        ((try? Directories.names(in: base + "/fd")) ?? []).map { "\(base)/fd/\($0)" }
    }

    private static func isBelow(_ directory: String, _ path: String?) -> Bool {
        guard let path else { return false }
        return path == directory || path.hasPrefix(directory + "/")
    }

    private static func title(_ base: String) -> String {
        let bytes = (try? File.small(base + "/comm")) ?? []
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    static func linkText(_ path: String) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            let result = buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(path, $0, text.count) } ?? 0
            }
            count = max(0, result)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
