// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CFuse3
import CLinux
import Glibc
import Volumes

extension Operations {
    static func read(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile, size: Int, offset: off_t
    ) throws {
        if offset < 0 { throw FileError.invalid }
        if let volume = file.volume {
            try volume.withSegments(offset: UInt64(offset), count: size) { server.replies.send(request, $0) }
        } else if let snapshot = file.snapshot {
            try snapshot.withSegments(offset: UInt64(offset), count: size) {
                server.replies.send(request, $0)
            }
        } else {
            fuse_reply_buf(request, nil, 0)
        }
    }

    static func write(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile,
        _ buffers: UnsafeMutablePointer<fuse_bufvec>?, offset: off_t
    ) throws {
        guard let buffers, offset >= 0, file.snapshot == nil else { throw FileError.invalid }
        let count = fuse_buf_size(buffers)
        let end = UInt64(offset) + UInt64(count)
        let volume = try writable(server, file, upTo: end)
        var done = 0
        while done < count {
            let start = UInt64(offset) + UInt64(done)
            let moved = try volume.write(at: start, count: count - done) {
                (fd, position) throws(SystemError) in
                let moved = slk_bufvec_write(buffers, fd, off_t(position), count - done)
                if moved < 0 { throw SystemError(Int32(-moved), "write", volume.name) }
                return moved
            }
            // The buffers are read once only, so a write that stopped inside a block cannot go on.
            done += moved
            if moved % Block.bytes != 0 || moved == 0 { break }
        }
        if done == 0 && count > 0 { throw FileError.io }
        fuse_reply_write(request, done)
    }

    /// The volume behind the file, made or made longer first where the file ends before the write does.
    private static func writable(_ server: Server, _ file: OpenFile, upTo end: UInt64) throws -> Volume {
        file.node.endCopy()
        guard let volume = file.volume else {
            return try server.access.volume(file.node, server.nodes, sizeBytes: wholeBlocks(max(end, 1)))
        }
        if end > volume.sizeBytes { try grow(file.node, volume, to: wholeBlocks(end)) }
        return volume
    }

    /// Two writers may grow a file at the same time; it must not shrink under the one who asked for more.
    private static func grow(_ node: Node, _ volume: Volume, to sizeBytes: UInt64) throws {
        try node.growth.withLock { _ in
            if sizeBytes > volume.sizeBytes { try volume.resize(to: sizeBytes) }
        }
    }

    static func allocate(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile, mode: Int32, offset: off_t, length: off_t
    ) throws {
        guard offset >= 0, length > 0, file.snapshot == nil else { throw FileError.invalid }
        let (start, count) = (UInt64(offset), UInt64(length))
        let keepsSize = mode & Int32(SLK_FALLOC_KEEP_SIZE) != 0
        switch Int(mode) & ~SLK_FALLOC_KEEP_SIZE {
        case 0:
            // Space is promised to nobody: a volume takes it as it is written.
            if !keepsSize { _ = try writable(server, file, upTo: start + count) }
        case SLK_FALLOC_PUNCH_HOLE & ~SLK_FALLOC_KEEP_SIZE:
            file.node.endCopy()
            try file.volume?.discard(offset: start, count: count)
        case SLK_FALLOC_ZERO_RANGE:
            if !keepsSize { _ = try writable(server, file, upTo: start + count) }
            file.node.endCopy()
            try file.volume?.zero(offset: start, count: count)
        default: throw FileError.notSupported
        }
        fuse_reply_err(request, 0)
    }

    static func seek(_ request: fuse_req_t, _ file: OpenFile, offset: off_t, whence: Int32) throws {
        if offset < 0 { throw FileError.noData }
        let start = UInt64(offset)
        let found: UInt64?
        switch Int(whence) {
        case SLK_SEEK_DATA:
            found = try file.volume?.seekData(from: start) ?? file.snapshot?.seekData(from: start)
        case SLK_SEEK_HOLE:
            found = try file.volume?.seekHole(from: start) ?? file.snapshot?.seekHole(from: start)
        default: throw FileError.invalid
        }
        guard let found else { throw FileError.noData }
        fuse_reply_lseek(request, off_t(found))
    }
}
