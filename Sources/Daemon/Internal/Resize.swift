// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Changes the length of a block file and of the ext4 in it, before it is mounted.
enum Resize {
    /// Grows the file first and the file system after, or shrinks them the other way round.
    static func run(file path: String, sizeBytes: UInt64) throws {
        let file = try File(open: path, O_RDWR)
        let current = try file.size()
        if current == sizeBytes { return }
        if sizeBytes > current { try file.truncate(to: sizeBytes) }
        // -f: the file system was never mounted since it was made or snapshotted under a freeze, so the check
        // that resize2fs insists on has nothing to find.
        let result: Subprocess.Result
        do throws(SystemError) {
            result = try Subprocess.run(["resize2fs", "-f", path, "\(sizeBytes / 1024)K"])
        } catch {
            throw Failure(
                .unavailable, "resize2fs: cannot be run (\(error.reason)); install the package e2fsprogs")
        }
        if !result.succeeded {
            throw Failure(.invalid, "size \(sizeBytes): \(reason(result.errors)); choose another size")
        }
        if sizeBytes < current { try file.truncate(to: sizeBytes) }
        try file.synchronizeData()
    }

    /// The last line that the program printed, which is where e2fsprogs says why.
    private static func reason(_ errors: String) -> String {
        let lines = errors.split(separator: "\n").map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
        return lines.last.map { "resize2fs says '\($0)'" } ?? "resize2fs failed"
    }
}
