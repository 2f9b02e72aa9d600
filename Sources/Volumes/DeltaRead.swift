// SPDX-License-Identifier: Apache-2.0

import Blocks
import ChunkStore

extension Delta {
    /// The first block that the parent does not show.
    func belowLimit(_ below: Snapshot?) -> UInt32 {
        below.map { min(parentLimit, $0.blockCount) } ?? 0
    }

    /// Appends where the blocks lie: a run of blocks that the delta owns is one segment, since zero blocks
    /// are holes of the data file.
    func appendSegments(
        for range: BlockRange, below: Snapshot?, to scratch: inout SegmentScratch
    ) throws(VolumeError) {
        if let brokenReason { throw .broken("delta \(Self.hex(id))", reason: brokenReason) }
        var block = range.start
        let shown = belowLimit(below)
        while block < range.end {
            let run = states.ownedRun(from: block, to: range.end)
            if run.isOwned {
                let source = openDescriptor.map {
                    Segment.Source.file(descriptor: $0, offset: UInt64(block) * UInt64(Block.bytes))
                }
                scratch.segments.append(
                    Segment(source: source ?? .zeros, byteCount: Int(run.end - block) * Block.bytes))
            } else {
                let end = max(block, min(run.end, shown))
                if end > block, let below {
                    try below.appendSegments(
                        for: BlockRange(start: block, count: end - block), to: &scratch)
                }
                if run.end > end {
                    scratch.segments.append(
                        Segment(source: .zeros, byteCount: Int(run.end - end) * Block.bytes))
                }
            }
            block = run.end
        }
    }

    /// The first block in [block, limit) that may not be zeros, else `limit`.
    func nextData(from first: UInt32, to limit: UInt32, below: Snapshot?) throws(VolumeError) -> UInt32 {
        if let brokenReason { throw .broken("delta \(Self.hex(id))", reason: brokenReason) }
        let shown = belowLimit(below)
        var block = first
        while block < limit {
            let run = states.run(from: block, to: limit)
            if run.state == .data { return block }
            let end = min(run.end, shown)
            if run.state == .clean, end > block, let below {
                let found = try below.nextData(from: block, to: end)
                if found < end { return found }
            }
            block = run.end
        }
        return limit
    }

    /// The first block in [block, limit) that is a hole, else `limit`.
    func nextHole(from first: UInt32, to limit: UInt32, below: Snapshot?) throws(VolumeError) -> UInt32 {
        if let brokenReason { throw .broken("delta \(Self.hex(id))", reason: brokenReason) }
        let shown = belowLimit(below)
        var block = first
        while block < limit {
            let run = states.run(from: block, to: limit)
            switch run.state {
            case .zero: return block
            case .data: block = run.end
            case .clean:
                let end = min(run.end, shown)
                guard end > block, let below else { return block }
                let found = try below.nextHole(from: block, to: end)
                if found < run.end { return found }
                block = run.end
            }
        }
        return limit
    }
}
