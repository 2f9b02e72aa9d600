// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The files in volumes/ that nothing was written to yet, kept for a process that takes over: one small file each,
/// named by the number, with the name in it.
///
/// They survive the end of the process and no more; without a directory nothing is kept.
struct PendingNames: Sendable {
    private let directory: String?

    init(_ directory: String?) {
        self.directory = directory
    }

    /// What an earlier process kept.
    func load() -> [(id: UInt64, name: String)] {
        guard let directory, let names = try? Directories.names(in: directory) else { return [] }
        return names.compactMap { name in
            guard let id = UInt64(name, radix: 16),
                let bytes = try? File.small(directory + "/" + name, limitBytes: 4096)
            else { return nil }
            return (id, String(decoding: bytes, as: UTF8.self))
        }
    }

    /// A file that cannot be kept is lost with this process, which costs one program an error.
    func add(_ id: UInt64, _ name: String) {
        guard let directory else { return }
        try? Directories.create(directory)
        guard let file = try? File(open: path(directory, id), O_WRONLY | O_CREAT | O_TRUNC) else { return }
        try? file.write(Array(name.utf8), at: 0)
    }

    func remove(_ id: UInt64) {
        if let directory { unlink(path(directory, id)) }
    }

    private func path(_ directory: String, _ id: UInt64) -> String {
        directory + "/" + String(id, radix: 16)
    }
}
