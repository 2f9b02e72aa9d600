// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Ext4
import Glibc
import Volumes

extension Driver {
    /// The files of an image or a volume, one JSON line each, read from its blocks without a mount.
    ///
    /// What a mounted volume has only in its journal, or in the kernel's memory, is not seen.
    func files(of name: String) throws(Failure) -> TemporaryFile {
        do {
            let list = try TemporaryFile(in: places.run)
            let reader = try Reader(try blocks(of: name))
            try reader.walk { path, inode in
                let target = inode.kind == .symlink ? try reader.target(of: inode) : nil
                let entry = FileEntry(
                    path: "/" + String(decoding: path, as: UTF8.self), mode: UInt32(inode.mode),
                    owner: inode.owner, group: inode.group, sizeBytes: inode.sizeBytes,
                    links: UInt32(inode.linkCount), modified: Daemon.Timestamp.text(inode.modified.seconds),
                    target: target.map { String(decoding: $0, as: UTF8.self) })
                try list.append(line: try JSON.encode(entry))
            }
            try list.finish()
            return list
        } catch let error as Ext4Error {
            throw Failure(.failed, "\(name): its files cannot be read: \(error)")
        } catch {
            throw Failure(error)
        }
    }

    private func blocks(of name: String) throws -> SegmentBlocks {
        if store.kind(of: name) == .volume {
            let volume = try store.blockFile(volume: name)
            return SegmentBlocks { offset, body throws(VolumeError) in
                try volume.withSegments(offset: offset, count: Block.bytes, body)
            }
        }
        let snapshot = try store.blockFile(image: name)
        return SegmentBlocks { offset, body throws(VolumeError) in
            try snapshot.withSegments(offset: offset, count: Block.bytes, body)
        }
    }
}

/// Reads single blocks of a volume or snapshot through its segments, and keeps the last few: inodes of one
/// directory share blocks.
private final class SegmentBlocks: BlockReader {
    typealias Bytes = Result<[UInt8], SystemError>
    private let segments: (UInt64, ([Segment]) -> Bytes) throws(VolumeError) -> Bytes
    private var cache: [UInt32: [UInt8]] = [:]

    /// Blocks kept; 1 MiB.
    private static let cacheLimit = 256

    init(_ segments: @escaping (UInt64, ([Segment]) -> Bytes) throws(VolumeError) -> Bytes) {
        self.segments = segments
    }

    func read(block: UInt32) throws -> [UInt8] {
        if let bytes = cache[block] { return bytes }
        let bytes = try segments(UInt64(block) * UInt64(Block.bytes), Self.bytes).get()
        if cache.count >= Self.cacheLimit { cache.removeAll(keepingCapacity: true) }
        cache[block] = bytes
        return bytes
    }

    private static func bytes(of segments: [Segment]) -> Bytes {
        var bytes = [UInt8](repeating: 0, count: Block.bytes)
        var position = 0
        for segment in segments {
            let end = min(position + segment.byteCount, Block.bytes)
            defer { position = end }
            if case .absent = segment.source {
                return .failure(SystemError(ENODATA, "read", "an absent chunk"))
            }
            guard case .file(let descriptor, let offset) = segment.source else { continue }
            var done = 0
            while position + done < end {
                let count = bytes.withUnsafeMutableBytes { buffer in
                    let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[(position + done)..<end])
                    return retrying {
                        pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
                    }
                }
                if count < 0 { return .failure(SystemError.last("pread", "chunk")) }
                if count == 0 { break }
                done += count
            }
        }
        return .success(bytes)
    }
}
