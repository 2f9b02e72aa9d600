// SPDX-License-Identifier: Apache-2.0

public import Blocks
public import ChunkStore

/// Memory that a thread keeps from one read to the next, so that a read of present blocks allocates nothing.
///
/// One thread at a time may use it.
public struct SegmentScratch {
    var segments: [Segment] = []
    /// Keeps alive what a concurrent seal would let go; empty where everything is sealed.
    var holders: [AnyObject] = []
    /// The block map that clean blocks came from.
    ///
    /// Held by a holder or by the snapshot that is read, so good for as long as the segments are.
    var base: Unmanaged<ResidentMap>?

    public init() {
        segments.reserveCapacity(64)
    }

    mutating func reset() {
        segments.removeAll(keepingCapacity: true)
        if !holders.isEmpty { holders.removeAll(keepingCapacity: true) }
        base = nil
    }

    /// The segments, cut down to the span.
    mutating func view<T>(_ span: ByteSpan, _ body: (SegmentView) -> T) -> T {
        span.trim(&segments)
        let base = base
        return segments.withUnsafeBufferPointer {
            body(SegmentView(segments: $0, offset: span.offset, base: base))
        }
    }
}

/// The pieces of a range, in order; good only inside the body that got them.
public struct SegmentView {
    public let segments: UnsafeBufferPointer<Segment>
    let offset: UInt64
    let base: Unmanaged<ResidentMap>?

    /// What has to be fetched before the range can be read; nil: nothing.
    public func absentBlocks() -> AbsentBlocks? {
        var handles: [ChunkHandle] = []
        var (first, end) = (UInt64.max, UInt64(0))
        var position = offset
        for segment in segments {
            if case .absent(let handle) = segment.source {
                if handles.last != handle { handles.append(handle) }
                first = min(first, position)
                end = position + UInt64(segment.byteCount)
            }
            position += UInt64(segment.byteCount)
        }
        guard !handles.isEmpty, let base else { return nil }
        let start = UInt32(first / UInt64(Block.bytes))
        return AbsentBlocks(
            map: base.takeUnretainedValue(), handles: handles,
            range: BlockRange(start: start, count: UInt32(Block.count(forBytes: end)) - start))
    }
}

/// Blocks that are known but not here, and what it takes to fetch them.
public struct AbsentBlocks: Sendable {
    /// Holds the references that keep the handles good.
    public let map: ResidentMap
    public let handles: [ChunkHandle]
    /// From the first absent block to the last.
    public let range: BlockRange
}
