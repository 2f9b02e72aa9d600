// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// What is mounted where, in this process's mount namespace, as proc_pid_mountinfo(5) tells it.
public struct MountTable: Sendable {
    /// One mount.
    public struct Entry: Sendable, Equatable {
        public let id: Int
        public let parent: Int
        /// Device of the file system as `major:minor`.
        public let device: String
        /// Directory of the file system that is mounted: `/` except for bind mounts.
        public let root: String
        public let directory: String
        /// Options of the mount, such as `ro`, `relatime`.
        public let options: [String]
        public let fileSystem: String
        public let source: String
        /// Options of the file system, shared by all of its mounts.
        public let superOptions: [String]

        public var isReadOnly: Bool { options.contains("ro") }
    }

    /// All mounts in the order in which they were made; a later one covers an earlier one of the same
    /// directory.
    public let entries: [Entry]

    /// Reads the table of the calling process.
    public static func current() throws(MountsError) -> MountTable {
        let bytes = try MountsError.wrapping { () throws(SystemError) in
            try File.small("/proc/self/mountinfo")
        }
        return MountTable(parsing: bytes)
    }

    /// Parses a table; lines that are not of the documented form are left out.
    public init(parsing bytes: [UInt8]) {
        entries = bytes.split(separator: UInt8(ascii: "\n")).compactMap(Self.entry)
    }

    /// What is mounted on top at a directory, given without links and without a slash at its end.
    public func entry(at directory: String) -> Entry? {
        entries.last { $0.directory == directory }
    }

    /// All that is mounted at or below a directory, the last made first: the order in which to unmount.
    public func entries(under directory: String) -> [Entry] {
        let prefix = directory == "/" ? "/" : directory + "/"
        return entries.filter { $0.directory == directory || $0.directory.hasPrefix(prefix) }.reversed()
    }

    /// The mounts of one block device, such as `/dev/loop3`.
    public func entries(ofDevice path: String) -> [Entry] {
        entries.filter { $0.source == path }
    }

    private static func entry(_ line: ArraySlice<UInt8>) -> Entry? {
        let fields = line.split(separator: UInt8(ascii: " "))
        guard fields.count >= 9,
            let separator = fields.dropFirst(6).firstIndex(where: { $0.elementsEqual("-".utf8) }),
            fields.count >= separator + 3, let id = Int(text(fields[0])), let parent = Int(text(fields[1]))
        else { return nil }
        return Entry(
            id: id, parent: parent, device: text(fields[2]), root: text(fields[3]),
            directory: text(fields[4]),
            options: list(fields[5]), fileSystem: text(fields[separator + 1]),
            source: text(fields[separator + 2]),
            superOptions: fields.count > separator + 3 ? list(fields[separator + 3]) : [])
    }

    private static func list(_ field: ArraySlice<UInt8>) -> [String] {
        text(field).split(separator: ",").map(String.init)
    }

    /// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
    private static func text(_ field: ArraySlice<UInt8>) -> String {
        guard field.contains(UInt8(ascii: "\\")) else { return String(decoding: field, as: UTF8.self) }
        let bytes = Array(field)
        var plain: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let digits = bytes[min(index + 1, bytes.count)..<min(index + 4, bytes.count)]
            if bytes[index] == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                plain.append(value)
                index += 4
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}

/// A loop device that has a file of ours under it.
public struct LoopUse: Sendable, Equatable, Codable {
    public let number: Int32
    public let file: String
    /// Directories where the device is mounted in this mount namespace, the last made first.
    public let directories: [String]

    /// The loop devices over files below a directory, with where they are mounted: what a former life left
    /// behind.
    ///
    /// Reads /sys and /proc only, so a dead FUSE mount at the directory does not stop it.
    public static func list(under directory: String) throws(MountsError) -> [LoopUse] {
        let table = try MountTable.current()
        let names = try MountsError.wrapping { () throws(SystemError) in
            try Directories.names(in: "/sys/block")
        }
        var uses: [LoopUse] = []
        for name in names where name.hasPrefix("loop") {
            guard let number = Int32(name.dropFirst(4)), let file = LoopDevice.backingFile(number: number),
                file.hasPrefix(directory + "/")
            else { continue }
            let mounts = table.entries(ofDevice: LoopDevice.path(number)).reversed().map(\.directory)
            uses.append(LoopUse(number: number, file: file, directories: mounts))
        }
        return uses.sorted { $0.number < $1.number }
    }
}
