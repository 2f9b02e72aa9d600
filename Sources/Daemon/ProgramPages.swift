// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// The pages of this program's file and of the libraries that it begins with.
struct ProgramPages: Sendable {
    private let maps: [UInt8]

    /// Notes what is mapped: to be called before the daemon loads what its clients do not use.
    init() {
        maps = (try? File.small("/proc/self/maps")) ?? []
    }

    /// Reads the files of the program into memory and keeps them there for as long as the process lives.
    ///
    /// Every container waits for the daemon's answers, and for a client that is the same program: neither
    /// shall wait for the disk because memory was short for a moment. A client starts with what the files hold
    /// and not with what this process has made of it, so the files' own pages are held, of data as of code.
    /// Takes as long as reading them does, so it is for a thread of its own.
    func lock() {
        var codeSeen: Set<String> = []
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
            guard let part = Part(line) else { continue }
            if part.isCode { codeSeen.insert(part.path) }
            // What follows the code was written to when the program was linked, so this process has copies.
            let isOwn = !part.isCode && codeSeen.contains(part.path)
            do throws(SystemError) { try isOwn ? part.holdFile() : part.hold() } catch {
                return Log.info("daemon", "the program is not kept in memory", ["reason": "\(error)"])
            }
        }
    }

    /// A part of a file that is mapped here.
    private struct Part {
        let path: String
        let isCode: Bool
        private let address: UInt
        private let byteCount: Int
        private let offset: Int

        /// - Parameter line: of /proc/self/maps: address range, rights, offset, device, inode, path.
        init?(_ line: Substring) {
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, let offset = Int(fields[2], radix: 16) else { return nil }
            path = String(fields[5].drop { $0 == " " })
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            // What was replaced on the disk since, no new client uses.
            guard ends.count == 2, path.hasPrefix("/"), !path.hasSuffix(" (deleted)") else { return nil }
            isCode = fields[1].contains("x")
            address = ends[0]
            byteCount = Int(ends[1] - ends[0])
            self.offset = offset
        }

        func hold() throws(SystemError) {
            if mlock(UnsafeRawPointer(bitPattern: address), byteCount) < 0 {
                throw SystemError.last("mlock", path)
            }
        }

        /// Holds the file's own pages of what this process has looked at, by a mapping that is never undone.
        ///
        /// A client will look at the same. The rest would be most of it: linkers put constants there too, such as
        /// 34 MB of tables for the languages of the world.
        func holdFile() throws(SystemError) {
            let file = try File(open: path, O_RDONLY)
            let mapping = mmap(nil, byteCount, PROT_READ, MAP_SHARED, file.fd, off_t(offset))
            guard let mapping, mapping != MAP_FAILED else { throw SystemError.last("mmap", path) }
            for page in try touchedPages()
            where mlock(mapping + page * Self.pageBytes, Self.pageBytes) < 0 {
                throw SystemError.last("mlock", path)
            }
        }

        private static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

        /// Numbers of pages of this part that are in this process's memory.
        private func touchedPages() throws(SystemError) -> [Int] {
            // Of eight bytes for a page the topmost bit says that it is there.
            let count = (byteCount + Self.pageBytes - 1) / Self.pageBytes
            let table = try File(open: "/proc/self/pagemap", O_RDONLY)
            let entries = try table.read(count: count * 8, at: UInt64(address) / UInt64(Self.pageBytes) * 8)
            return (0..<entries.count / 8).filter { entries[$0 * 8 + 7] & 0x80 != 0 }
        }
    }
}
