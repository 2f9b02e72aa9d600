// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import Glibc
import Synchronization

/// One copy_file_range request.
struct CopySpan {
    let from: off_t
    let to: off_t
    let count: Int

    /// The kernel cuts one read, write or copy to this length (MAX_RW_COUNT), so a copy of a larger file
    /// comes as several requests.
    static let largestBytes: UInt64 = 0x7fff_f000
}

extension Operations {
    /// A copy of a whole file onto a new, empty one is a clone, done at the first request; the requests that
    /// follow for the rest of the file have then been done already.
    ///
    /// Everything else the kernel copies by hand.
    static func copy(
        _ request: fuse_req_t, _ server: Server, _ source: OpenFile, _ target: OpenFile, _ span: CopySpan
    ) throws {
        guard span.from >= 0, span.from == span.to, target.snapshot == nil, source.node !== target.node else {
            throw FileError.copyByHand
        }
        if target.volume == nil { try beginCopy(server, source, target, span) }
        let count = try acknowledge(source, target, span)
        fuse_reply_write(request, Int(count))
    }

    private static func beginCopy(
        _ server: Server, _ source: OpenFile, _ target: OpenFile, _ span: CopySpan
    ) throws {
        let size = source.node.sizeBytes
        guard span.from == 0, size > 0, UInt64(span.count) >= min(size, CopySpan.largestBytes) else {
            throw FileError.copyByHand
        }
        let content = source.node.content
        try server.access.clone(content, sourceName: source.node.name, onto: target.node, server.nodes)
        target.node.state.withLock {
            $0.copy = CopyProgress(source: source.node.inode, sizeBytes: size, nextOffset: 0)
        }
        target.node.isCopying.store(true, ordering: .releasing)
    }

    /// Bytes that this request asks for and the clone has brought.
    private static func acknowledge(
        _ source: OpenFile, _ target: OpenFile, _ span: CopySpan
    ) throws(FileError) -> UInt64 {
        let count: UInt64? = target.node.state.withLock { state in
            guard var copy = state.copy, copy.source == source.node.inode, UInt64(span.to) == copy.nextOffset
            else {
                return nil
            }
            let count = min(UInt64(span.count), CopySpan.largestBytes, copy.sizeBytes - copy.nextOffset)
            copy.nextOffset += count
            state.copy = copy
            return count
        }
        guard let count else { throw .copyByHand }
        return count
    }
}
