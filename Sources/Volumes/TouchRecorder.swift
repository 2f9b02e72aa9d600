// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Synchronization

/// Takes down which blocks of its image a volume reads first, in order.
///
/// Cheap enough to stay on for as long as a container runs: a read of blocks that were read before looks at a
/// bitmap and takes no lock. It outlives the volume and the image.
public final class TouchRecorder: Sendable {
    /// Ranges that are kept: 2 MiB.
    ///
    /// An image that is read in more pieces is read nearly whole, and its end is no part of any start.
    static let maximumRanges = 1 << 18

    private struct Touches {
        var ranges: [BlockRange] = []
        var blocks = 0
    }

    /// What the volume was cloned from; nil for a volume of zeros, which touches nothing.
    private let image: Snapshot?
    private let sealer: Sealer
    /// Blocks that need no second look: read, or changed by the volume.
    private let seen: BlockStates
    private let touches = Lock(Touches())
    private let isOn = Atomic<Bool>(true)
    /// Blocks from here on do not show the image.
    private let limit: Atomic<UInt32>

    init(image: Snapshot?, sealer: Sealer) {
        self.image = image
        self.sealer = sealer
        let blockCount = image?.blockCount ?? 0
        seen = BlockStates(blockCount: max(1, blockCount))
        limit = Atomic(blockCount)
    }

    /// True until `stop`, or until more was touched than is kept.
    public var isRecording: Bool { isOn.load(ordering: .relaxed) }

    /// Blocks that were touched so far.
    public var touchedBlocks: Int { touches.withLock { $0.blocks } }

    /// Nothing is taken down from now on; what was stays readable.
    public func stop() {
        isOn.store(false, ordering: .relaxed)
    }

    /// The touches so far, as a profile of the image.
    ///
    /// Waits until the image is sealed: before, its blocks have no chunks.
    /// Errors: `.broken`, and what sealing failed with.
    public func profile() throws(VolumeError) -> BootProfile {
        guard let image else { return BootProfile([]) }
        try sealer.wait(for: image)
        guard let map = image.residentMap else {
            throw .broken("the recorded image", reason: "it is not sealed")
        }
        var found: [BootProfile.Touch] = []
        for range in touches.withLock({ $0.ranges }) {
            map.forEachPiece(in: range) { chunk, blocks, first in
                let digest = image.chunks.descriptor(of: chunk).digest
                found.append(BootProfile.Touch(chunk: digest, first: first, count: UInt8(blocks.count)))
            }
        }
        return BootProfile(found)
    }

    // MARK: The volume's side

    /// Blocks of the image were read.
    func note(_ range: BlockRange) {
        let end = min(range.end, limit.load(ordering: .relaxed))
        if range.start >= end || !isRecording { return }
        let run = seen.ownedRun(from: range.start, to: end)
        if run.isOwned && run.end == end { return }
        touches.withLock { touches in
            var block = range.start
            while block < end {
                let run = seen.ownedRun(from: block, to: end)
                if !run.isOwned { append(BlockRange(start: block, count: run.end - block), &touches) }
                block = run.end
            }
        }
    }

    private func append(_ range: BlockRange, _ touches: inout Touches) {
        if let last = touches.ranges.last, last.end == range.start {
            touches.ranges[touches.ranges.count - 1] = BlockRange(
                start: last.start, count: last.count + range.count)
        } else if touches.ranges.count == Self.maximumRanges {
            return stop()
        } else {
            touches.ranges.append(range)
        }
        touches.blocks += Int(range.count)
        seen.set(range, to: .data)
    }

    /// A delta becomes part of what lies under the volume: its blocks are not the image's.
    ///
    /// The caller keeps readers away.
    func leaveOut(_ delta: Delta) {
        let shown = min(limit.load(ordering: .relaxed), delta.parentLimit, delta.blockCount)
        limit.store(shown, ordering: .relaxed)
        touches.withLock { _ in seen.add(delta.states, below: shown) }
    }
}
