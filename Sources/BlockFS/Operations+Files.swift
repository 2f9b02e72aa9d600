// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CFuse3
import Glibc
import Volumes

extension Operations {
    static func sendAttributes(_ request: fuse_req_t, _ server: Server, _ inode: UInt64) throws {
        if inode <= Inode.volumes {
            var attributes = Node.directoryAttributes(inode)
            fuse_reply_attr(request, &attributes, longSeconds)
            return
        }
        let node = try server.nodes.node(inode)
        var attributes = node.attributes
        fuse_reply_attr(request, &attributes, attributeSeconds(node))
    }

    /// Lengths of volumes change; times and permissions are accepted and stay as they are, so that tools
    /// which set them after a copy are content; owners stay root.
    static func setAttributes(
        _ request: fuse_req_t, _ server: Server, _ inode: UInt64, _ wanted: stat, _ which: Int32
    ) throws {
        if inode <= Inode.volumes { throw FileError.notPermitted }
        let node = try server.nodes.node(inode)
        if case .snapshot = node.content { throw FileError.notPermitted }
        if which & FUSE_SET_ATTR_UID != 0 && wanted.st_uid != 0 { throw FileError.notPermitted }
        if which & FUSE_SET_ATTR_GID != 0 && wanted.st_gid != 0 { throw FileError.notPermitted }
        if which & FUSE_SET_ATTR_SIZE != 0 {
            if wanted.st_size < 0 { throw FileError.invalid }
            try setSize(server, node, UInt64(wanted.st_size))
        }
        try sendAttributes(request, server, inode)
    }

    /// The length becomes the next multiple of the block size.
    ///
    /// Zero empties the file: its volume is removed, and what is written or copied next makes a new one.
    private static func setSize(_ server: Server, _ node: Node, _ sizeBytes: UInt64) throws {
        node.endCopy()
        switch node.content {
        case .snapshot: throw FileError.notPermitted
        case .gone: throw FileError.stale
        case .pending:
            if sizeBytes > 0 {
                _ = try server.access.volume(node, server.nodes, sizeBytes: wholeBlocks(sizeBytes))
            }
        case .volume(let volume):
            if sizeBytes > 0 { return try volume.resize(to: wholeBlocks(sizeBytes)) }
            // The one who truncates has it open; anyone else would lose what he works on.
            if node.state.withLock({ $0.opens > 1 }) { throw FileError.busy }
            try server.access.store.remove(node.name)
            server.nodes.returnToPending(node)
        }
    }

    static func wholeBlocks(_ bytes: UInt64) throws(FileError) -> UInt64 {
        let blocks = Block.count(forBytes: bytes)
        if blocks >= UInt64(UInt32.max) { throw .tooLarge }
        return blocks * UInt64(Block.bytes)
    }

    static func open(
        _ request: fuse_req_t, _ server: Server, _ inode: UInt64,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws {
        guard let info, inode > Inode.volumes else { throw FileError.notPermitted }
        let node = try server.nodes.node(inode)
        let file = try OpenFile(node)
        if file.snapshot != nil, info.pointee.flags & O_ACCMODE != O_RDONLY { throw FileError.readOnly }
        // What the page cache has of a snapshot stays right for ever.
        info.pointee.keep_cache = file.snapshot == nil ? 0 : 1
        try retain(server, file, info)
        if fuse_reply_open(request, info) == -ENOENT { release(server, info) }
    }

    static func create(
        _ request: fuse_req_t, _ server: Server, _ parent: UInt64, _ name: String,
        _ info: UnsafeMutablePointer<fuse_file_info>?
    ) throws {
        guard let info, parent == Inode.volumes else { throw FileError.notPermitted }
        let node = try server.access.create(name, server.nodes)
        let file = try OpenFile(node)
        try retain(server, file, info)
        var entry = entry(node)
        if fuse_reply_create(request, &entry, info) == -ENOENT {
            release(server, info)
            server.nodes.forget(node.inode, 1)
        }
    }

    private static func retain(
        _ server: Server, _ file: OpenFile, _ info: UnsafeMutablePointer<fuse_file_info>
    ) throws(FileError) {
        try info.pointee.retain(file, server)
        file.node.state.withLock { $0.opens += 1 }
    }

    /// What was opened before this process began to serve is released when the kernel forgets the file.
    static func release(_ server: Server, _ info: UnsafeMutablePointer<fuse_file_info>) {
        guard let pointer = FileHandle(rawValue: info.pointee.fh).object(of: server.epoch) else { return }
        Unmanaged<OpenFile>.fromOpaque(pointer)._withUnsafeGuaranteedRef { file in
            file.node.state.withLock { $0.opens -= 1 }
        }
        info.pointee.release(server)
    }
}
