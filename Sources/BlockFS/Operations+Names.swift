// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import CLinux
import Glibc

/// The names in a directory at the moment it was opened.
final class DirectoryListing: Sendable {
    let entries: [StoreAccess.Entry]

    init(_ entries: [StoreAccess.Entry]) {
        self.entries = entries
    }
}

extension Operations {
    static func lookup(_ request: fuse_req_t, _ server: Server, _ parent: UInt64, _ file: String) throws {
        switch parent {
        case Inode.root:
            switch file {
            case "snapshots": sendDirectory(request, Inode.snapshots)
            case "volumes": sendDirectory(request, Inode.volumes)
            default: throw FileError.notFound
            }
        case Inode.snapshots: sendEntry(request, server, try server.access.lookUpSnapshot(file, server.nodes))
        case Inode.volumes: sendEntry(request, server, try server.access.lookUpVolume(file, server.nodes))
        default: throw FileError.notFound
        }
    }

    private static func sendDirectory(_ request: fuse_req_t, _ inode: UInt64) {
        var entry = fuse_entry_param()
        entry.ino = inode
        entry.attr = Node.directoryAttributes(inode)
        entry.attr_timeout = longSeconds
        entry.entry_timeout = longSeconds
        fuse_reply_entry(request, &entry)
    }

    static func sendEntry(_ request: fuse_req_t, _ server: Server, _ node: Node) {
        var entry = entry(node)
        // A request that was interrupted took no reference.
        if fuse_reply_entry(request, &entry) == -ENOENT { server.nodes.forget(node.inode, 1) }
    }

    static func entry(_ node: Node) -> fuse_entry_param {
        var entry = fuse_entry_param()
        entry.ino = node.inode
        entry.attr = node.attributes
        entry.attr_timeout = attributeSeconds(node)
        entry.entry_timeout = nameSeconds
        return entry
    }

    static func attributeSeconds(_ node: Node) -> Double {
        if case .snapshot = node.content { longSeconds } else { volumeSeconds }
    }

    static func openDirectory(
        _ request: fuse_req_t, _ server: Server, _ inode: UInt64,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws {
        guard let info else { throw FileError.invalid }
        try info.pointee.retain(listing(server, inode), server)
        if fuse_reply_open(request, info) == -ENOENT { info.pointee.release(server) }
    }

    private static func listing(_ server: Server, _ inode: UInt64) throws(FileError) -> DirectoryListing {
        let own = StoreAccess.Entry(file: ".", inode: inode, isDirectory: true)
        let above = StoreAccess.Entry(file: "..", inode: Inode.root, isDirectory: true)
        let content: [StoreAccess.Entry]
        switch inode {
        case Inode.root:
            content = [
                StoreAccess.Entry(file: "snapshots", inode: Inode.snapshots, isDirectory: true),
                StoreAccess.Entry(file: "volumes", inode: Inode.volumes, isDirectory: true),
            ]
        case Inode.snapshots: content = server.access.snapshots()
        case Inode.volumes: content = server.access.volumes(server.nodes)
        default: throw FileError.notFound
        }
        return DirectoryListing([own, above] + content)
    }

    static func readDirectory(
        _ request: fuse_req_t, _ server: Server, _ inode: UInt64, size: Int, offset: off_t,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws {
        guard let info, offset >= 0 else { throw FileError.invalid }
        let listing: DirectoryListing
        if let pointer = FileHandle(rawValue: info.pointee.fh).object(of: server.epoch) {
            listing = Unmanaged<DirectoryListing>.fromOpaque(pointer).takeUnretainedValue()
        } else {
            // Opened before this process began to serve; names may have come and gone since.
            listing = try self.listing(server, inode)
        }
        var bytes = [CChar](repeating: 0, count: min(size, 65536))
        var used = 0
        for index in listing.entries.indices.dropFirst(Int(offset)) {
            let entry = listing.entries[index]
            var attributes = stat()
            attributes.st_ino = UInt(entry.inode)
            attributes.st_mode = entry.isDirectory ? S_IFDIR : S_IFREG
            let needed = bytes.withUnsafeMutableBufferPointer { buffer in
                fuse_add_direntry(
                    request, buffer.baseAddress.map { $0 + used }, buffer.count - used, entry.file,
                    &attributes,
                    off_t(index + 1))
            }
            if used + needed > bytes.count { break }
            used += needed
        }
        fuse_reply_buf(request, bytes, used)
    }

    static func fileSystemFigures(_ request: fuse_req_t, _ server: Server) throws {
        var figures = statvfs()
        if fstatvfs(server.stateDirectory.raw, &figures) < 0 { throw FileError(rawValue: errno) }
        figures.f_namemax = 255
        fuse_reply_statfs(request, &figures)
    }
}
