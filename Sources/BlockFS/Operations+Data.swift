// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CFuse3
import CLinux
import ChunkStore
import Glibc
import Synchronization
import Volumes

extension Operations {
    static func read(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile, size: Int, offset: off_t
    ) throws {
        if offset < 0 { throw FileError.invalid }
        let tally = server.memory.current().pointee.tally
        let isWatched = server.watches.isWatching.load(ordering: .relaxed)
        let begun = isWatched ? .now : tally.beginRead()
        guard let absent = try tryRead(request, server, file, size, UInt64(offset)) else {
            tally.noteHit(size, since: begun)
            file.node.readBytes.add(UInt64(size), ordering: .relaxed)
            if isWatched, let begun {
                server.watches.note(file, UInt64(offset), size, .cache, since: begun)
            }
            return
        }
        let (wait, start) = (ReadWait(), begun ?? .now)
        try server.parked.park(request, file, absent, wait) { request, server in
            let absent = try tryRead(request, server, file, size, UInt64(offset))
            if absent == nil { note(server, file, size, UInt64(offset), wait.origin, since: start) }
            return absent
        }
    }

    private static func note(
        _ server: Server, _ file: OpenFile, _ size: Int, _ offset: UInt64, _ origin: ReadOrigin,
        since start: MonotonicTime
    ) {
        server.memory.current().pointee.tally.noteRead(size, origin, since: start)
        file.node.readBytes.add(UInt64(size), ordering: .relaxed)
        if server.watches.isWatching.load(ordering: .relaxed) {
            server.watches.note(file, offset, size, origin, since: start)
        }
    }

    /// Answers with the bytes, unless some of them are absent: then nothing is answered.
    private static func tryRead(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile, _ size: Int, _ offset: UInt64
    ) throws(VolumeError) -> AbsentBlocks? {
        let memory = server.memory.current()
        if let volume = file.volume {
            return try volume.withSegments(offset: offset, count: size, using: &memory.pointee.scratch) {
                server.replies.send(request, $0, memory)
            }
        }
        if let snapshot = file.snapshot {
            return try snapshot.withSegments(offset: offset, count: size, using: &memory.pointee.scratch) {
                server.replies.send(request, $0, memory)
            }
        }
        fuse_reply_buf(request, nil, 0)
        return nil
    }

    static func write(
        _ request: fuse_req_t, _ server: Server, _ file: OpenFile,
        _ buffers: UnsafeMutablePointer<fuse_bufvec>?, offset: off_t
    ) throws {
        guard let buffers, offset >= 0, file.snapshot == nil else { throw FileError.invalid }
        let count = fuse_buf_size(buffers)
        let start = MonotonicTime.now
        file.node.writtenBytes.add(UInt64(count), ordering: .relaxed)
        var done = 0
        let absent = try write(server, file, at: UInt64(offset), count, &done) {
            (fd, position, left) throws(SystemError) in
            let moved = slk_bufvec_write(buffers, fd, off_t(position), left)
            if moved < 0 { throw SystemError(Int32(-moved), "write", file.node.name) }
            return moved
        }
        guard let absent else {
            reply(request, done, of: count)
            return server.memory.current().pointee.tally.noteWrite(count, since: start)
        }
        // The buffers belong to this thread, which has other requests to see to.
        let rest = [UInt8](unsafeUninitializedCapacity: count - done) { memory, filled in
            filled = max(0, slk_bufvec_read(buffers, memory.baseAddress, memory.count))
        }
        if rest.count < count - done { throw FileError.io }
        let place = UInt64(offset) + UInt64(done)
        let before = done
        try server.parked.park(request, file, absent) { request, server in
            var done = 0
            let absent = try write(server, file, at: place, rest.count, &done) {
                (fd, position, left) throws(SystemError) in
                let moved = rest[(rest.count - left)...].withUnsafeBytes { bytes in
                    retrying { pwrite(fd, bytes.baseAddress, bytes.count, off_t(position)) }
                }
                if moved < 0 { throw SystemError.last("pwrite", file.node.name) }
                return moved
            }
            if absent == nil {
                reply(request, before + done, of: count)
                server.memory.current().pointee.tally.noteWrite(count, since: start)
            }
            return absent
        }
    }

    private static func reply(_ request: fuse_req_t, _ done: Int, of count: Int) {
        if done == 0 && count > 0 {
            fuse_reply_err(request, EIO)
        } else {
            fuse_reply_write(request, done)
        }
    }

    /// Writes as much as goes; what has to be fetched first, where a block is written in part.
    /// - Parameter transfer: moves at most so many bytes to an offset of a descriptor.
    private static func write(
        _ server: Server, _ file: OpenFile, at offset: UInt64, _ count: Int, _ done: inout Int,
        _ transfer: (_ fd: Int32, _ position: UInt64, _ left: Int) throws(SystemError) -> Int
    ) throws -> AbsentBlocks? {
        let volume = try writable(server, file, upTo: offset + UInt64(count))
        while done < count {
            let left = count - done
            let moved: Int
            do throws(VolumeError) {
                moved = try volume.write(at: offset + UInt64(done), count: left) {
                    (fd, position) throws(SystemError) in try transfer(fd, position, left)
                }
            } catch {
                guard case .absent(_, let blocks) = error else { throw error }
                return blocks
            }
            // The buffers are read once only, so a write that stopped inside a block cannot go on.
            done += moved
            if moved % Block.bytes != 0 || moved == 0 { break }
        }
        return nil
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
        let attempt: ParkedRequests.Attempt = { request, server in
            do {
                try allocate(server, file, mode, UInt64(offset), UInt64(length))
            } catch VolumeError.absent(_, let blocks) {
                return blocks
            }
            fuse_reply_err(request, 0)
            return nil
        }
        guard let absent = try attempt(request, server) else { return }
        try server.parked.park(request, file, absent, nil, attempt)
    }

    private static func allocate(
        _ server: Server, _ file: OpenFile, _ mode: Int32, _ start: UInt64, _ count: UInt64
    ) throws {
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
