// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// The pages of this program's file.
enum ProgramPages {
    /// Reads the program's code into memory and keeps it there for as long as the process lives.
    ///
    /// Every container waits for the daemon's answers, and for a client that is the same program: neither
    /// shall wait for the disk because memory was short for a moment. Takes as long as reading the file does,
    /// so it is for a thread of its own.
    static func lock() {
        guard let program = try? Self.path(), let maps = try? File.small("/proc/self/maps") else { return }
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
            // Address range, rights, offset, device, inode, path.
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, fields[1].contains("x"),
                fields[5].drop(while: { $0 == " " }) == program
            else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, let start = UnsafeRawPointer(bitPattern: ends[0]) else { continue }
            if mlock(start, Int(ends[1] - ends[0])) < 0 {
                let reason = SystemError.last("mlock", program)
                return Log.info("daemon", "the program is not kept in memory", ["reason": "\(reason)"])
            }
        }
    }

    private static func path() throws(SystemError) -> String {
        guard let raw = realpath("/proc/self/exe", nil) else {
            throw SystemError.last("realpath", "/proc/self/exe")
        }
        defer { free(raw) }
        return String(cString: raw)
    }
}
