// SPDX-License-Identifier: Apache-2.0

import Blocks

/// A name in a directory that was read.
public struct DirectoryEntry: Equatable, Sendable {
    public let name: [UInt8]
    public let inode: UInt32
    /// As the entry says it; nil where it says none.
    public let kind: FileKind?
}

extension Reader {
    /// Levels of directories that a walk follows.
    static let maximumLevels = 4096

    public func root() throws -> Inode {
        let root = try inode(Layout.rootInode)
        guard root.kind == .directory else { throw Ext4Error.damaged("the root is not a directory") }
        return root
    }

    /// The names in a directory, without `.` and `..`, in the order in which they lie.
    public func entries(of directory: Inode) throws -> [DirectoryEntry] {
        guard directory.kind == .directory else {
            throw Ext4Error.damaged("inode \(directory.number) is not a directory")
        }
        var entries: [DirectoryEntry] = []
        for run in try runs(of: directory) where run.isWritten {
            for index in 0..<run.count {
                let place = UInt64(run.fileBlock + index) * UInt64(Block.bytes)
                if place >= directory.sizeBytes { return entries }
                let bytes = try block(UInt64(run.start + index), "directory \(directory.number)")
                try Self.parse(bytes, directory.number, into: &entries)
            }
        }
        return entries
    }

    /// Entries of one block; nodes of an index look like blocks of one unused entry.
    private static func parse(
        _ bytes: [UInt8], _ number: UInt32, into entries: inout [DirectoryEntry]
    ) throws(Ext4Error) {
        var offset = 0
        while offset < bytes.count {
            guard offset + 8 <= bytes.count else { throw .damaged("an entry of directory \(number)") }
            let inode = bytes.get(UInt32.self, at: offset)
            let record = Int(bytes.get(UInt16.self, at: offset + 4))
            let nameBytes = Int(bytes[offset + 6])
            guard record >= 8, record % 4 == 0, offset + record <= bytes.count, 8 + nameBytes <= record else {
                throw .damaged("an entry of directory \(number)")
            }
            let name = Array(bytes[offset + 8..<offset + 8 + nameBytes])
            let kind = FileKind(rawValue: bytes[offset + 7])
            offset += record
            if inode == 0 || name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")] {
                continue
            }
            guard FileTree.isValidName(name) else { throw .damaged("a name in directory \(number)") }
            entries.append(DirectoryEntry(name: name, inode: inode, kind: kind))
        }
    }

    /// Finds a file by its path from the root; links are not followed.
    public func lookup(_ path: [UInt8]) throws -> Inode {
        var current = try root()
        for part in path.split(separator: UInt8(ascii: "/")) {
            guard current.kind == .directory,
                let entry = try entries(of: current).first(where: { $0.name.elementsEqual(part) })
            else { throw Ext4Error.notFound(path: Ext4Error.printable(path)) }
            current = try inode(entry.inode)
        }
        return current
    }

    /// Calls `body` for every file, parents before what they hold, names of a directory sorted by their
    /// bytes.
    ///
    /// The path has no leading slash; the root's is empty. Hard links come once for each name.
    public func walk(_ body: (_ path: [UInt8], _ inode: Inode) throws -> Void) throws {
        var seen: Set<UInt32> = [Layout.rootInode]
        var waiting: [(path: [UInt8], inode: UInt32, level: Int)] = [([], Layout.rootInode, 0)]
        while let next = waiting.popLast() {
            let inode = try inode(next.inode)
            try body(next.path, inode)
            guard inode.kind == .directory else { continue }
            guard next.level == 0 || seen.insert(next.inode).inserted, next.level < Self.maximumLevels else {
                throw Ext4Error.damaged("directory \(next.inode) has two names, or lies too deep")
            }
            let prefix = next.path.isEmpty ? [] : next.path + [UInt8(ascii: "/")]
            let entries = try entries(of: inode).sorted { $1.name.lexicographicallyPrecedes($0.name) }
            for entry in entries { waiting.append((prefix + entry.name, entry.inode, next.level + 1)) }
        }
    }
}
