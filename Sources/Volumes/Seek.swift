// SPDX-License-Identifier: Apache-2.0

import Blocks
import ChunkStore

/// A byte range cut to the length of its file, and the blocks that it touches.
struct ByteSpan {
    let offset: UInt64
    let count: Int
    let blocks: BlockRange

    init(offset: UInt64, count: Int, sizeBytes: UInt64) {
        self.offset = offset
        self.count = offset >= sizeBytes ? 0 : Int(min(UInt64(max(0, count)), sizeBytes - offset))
        let first = offset / UInt64(Block.bytes)
        let end = Block.count(forBytes: offset + UInt64(self.count))
        blocks =
            self.count == 0
            ? BlockRange(start: 0, count: 0) : BlockRange(start: UInt32(first), count: UInt32(end - first))
    }

    var isAligned: Bool { offset % UInt64(Block.bytes) == 0 && count % Block.bytes == 0 }

    /// Cuts the segments of `blocks` down to the bytes that were asked for.
    func trim(_ segments: inout [Segment]) {
        if isAligned || segments.isEmpty { return }
        let head = Int(offset % UInt64(Block.bytes))
        let tail = Int(blocks.count) * Block.bytes - head - count
        let last = segments.count - 1
        segments[last] = Self.part(of: segments[last], dropping: 0, keeping: segments[last].byteCount - tail)
        segments[0] = Self.part(of: segments[0], dropping: head, keeping: segments[0].byteCount - head)
    }

    private static func part(of segment: Segment, dropping head: Int, keeping count: Int) -> Segment {
        switch segment.source {
        case .zeros, .absent: Segment(source: segment.source, byteCount: count)
        case .file(let descriptor, let offset):
            Segment(source: .file(descriptor: descriptor, offset: offset + UInt64(head)), byteCount: count)
        }
    }
}

/// lseek's SEEK_DATA and SEEK_HOLE in terms of blocks.
enum Seek {
    typealias Next = (_ block: UInt32, _ limit: UInt32) throws(VolumeError) -> UInt32

    static func data(from offset: UInt64, sizeBytes: UInt64, _ next: Next) throws(VolumeError) -> UInt64? {
        if offset >= sizeBytes { return nil }
        let limit = UInt32(sizeBytes / UInt64(Block.bytes))
        let block = try next(UInt32(offset / UInt64(Block.bytes)), limit)
        return block == limit ? nil : max(offset, UInt64(block) * UInt64(Block.bytes))
    }

    static func hole(from offset: UInt64, sizeBytes: UInt64, _ next: Next) throws(VolumeError) -> UInt64? {
        if offset >= sizeBytes { return nil }
        let limit = UInt32(sizeBytes / UInt64(Block.bytes))
        let block = try next(UInt32(offset / UInt64(Block.bytes)), limit)
        return max(offset, UInt64(block) * UInt64(Block.bytes))
    }

    static func nextData(_ map: ResidentMap, from block: UInt32, to limit: UInt32) -> UInt32 {
        if block >= limit { return limit }
        return min(limit, map.nextMapped(from: block) ?? limit)
    }

    static func nextHole(_ map: ResidentMap, from block: UInt32, to limit: UInt32) -> UInt32 {
        if block >= limit { return limit }
        return min(limit, map.nextHole(from: block))
    }
}
