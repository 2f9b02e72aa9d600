// SPDX-License-Identifier: Apache-2.0

public import Base

/// Blocks of a chunk that were read for the first time, together.
public struct Touch: Hashable, Sendable {
    public let chunk: Digest
    /// The first block within the chunk.
    public let first: UInt8
    public let count: UInt8

    public init(chunk: Digest, first: UInt8, count: UInt8) {
        self.chunk = chunk
        self.first = first
        self.count = count
    }
}

/// A block map in which what was touched has chunks of its own.
public struct BlockMapCut: Sendable, Equatable {
    /// A chunk of the new map that is a piece of a chunk of the old one, or all of it.
    public struct Piece: Hashable, Sendable {
        public let chunk: ChunkDescriptor
        /// The chunk of the old map that holds these bytes.
        public let source: ChunkDescriptor
        /// The first of these blocks within the source.
        public let first: UInt8
    }

    public let map: BlockMap
    /// What was touched, in the order of the touches, each chunk once: what a boot pack holds.
    public let pieces: [Piece]
}

extension BlockMap {
    /// This map, its content unchanged, with each run of touched blocks cut out of its chunk.
    ///
    /// The rest of such a chunk goes on being blocks of the whole chunk. Touches of chunks that the map does
    /// not have, or of blocks that they do not have, count for nothing, so a profile of another image does no
    /// harm; of a block that is touched again the first time counts. Touches that follow one another in a
    /// chunk become one run. A run of zeros becomes a hole and is no piece.
    /// - Parameters:
    ///   - touches: in the order in which they happened.
    ///   - read: gives the plain bytes of a chunk of this map; asked once for each chunk of which only a part
    ///     was touched.
    public func cutting<E: Error>(
        _ touches: [Touch], read: (ChunkDescriptor) throws(E) -> [UInt8]
    ) throws(E) -> BlockMapCut {
        let runs = TouchedRuns(chunks, touches)
        var named: [TouchedRuns.Run: ChunkDescriptor] = [:]
        for (chunk, own) in runs.byChunk.sorted(by: { $0.key < $1.key }) {
            let whole = chunks[Int(chunk)]
            if own.count == 1, own[0].count == whole.blockCount {
                named[own[0]] = whole
                continue
            }
            let bytes = try read(whole)
            precondition(bytes.count == Int(whole.blockCount) * Block.bytes, "a chunk is whole")
            for run in own { named[run] = run.descriptor(in: bytes) }
        }
        var pieces: [BlockMapCut.Piece] = []
        var seen: Set<ChunkDescriptor> = []
        for run in runs.inOrder {
            guard let chunk = named[run], seen.insert(chunk).inserted else { continue }
            pieces.append(BlockMapCut.Piece(chunk: chunk, source: chunks[Int(run.chunk)], first: run.first))
        }
        return BlockMapCut(map: replacingRuns(runs, named), pieces: pieces)
    }

    private func replacingRuns(
        _ runs: TouchedRuns, _ named: [TouchedRuns.Run: ChunkDescriptor]
    ) -> BlockMap {
        var builder = BlockMapBuilder(blockCount: blockCount)
        for extent in extents {
            var offset = extent.offset
            let end = extent.offset + extent.count
            func start() -> UInt32 { extent.start + UInt32(offset - extent.offset) }
            for run in runs.byChunk[extent.chunk] ?? [] where run.end > offset && run.first < end {
                if run.first > offset {
                    builder.add(
                        start: start(), chunk: chunks[Int(extent.chunk)], offset: offset,
                        count: run.first - offset)
                    offset = run.first
                }
                let stop = min(run.end, end)
                if let chunk = named[run] {
                    builder.add(
                        start: start(), chunk: chunk, offset: offset - run.first, count: stop - offset)
                }
                offset = stop
            }
            if offset < end {
                builder.add(
                    start: start(), chunk: chunks[Int(extent.chunk)], offset: offset, count: end - offset)
            }
        }
        return builder.finish()
    }
}

/// Touches brought into a form in which no block counts twice.
struct TouchedRuns {
    /// Blocks of one chunk of a map.
    struct Run: Hashable {
        /// Index in the map.
        let chunk: UInt32
        let first: UInt8
        let count: UInt8

        var end: UInt8 { first + count }

        /// The chunk that these blocks are; nil when they are zeros.
        func descriptor(in bytes: [UInt8]) -> ChunkDescriptor? {
            let own = Array(bytes[Int(first) * Block.bytes..<Int(end) * Block.bytes])
            if own.allSatisfy({ $0 == 0 }) { return nil }
            return ChunkDescriptor(digest: Digest(hashing: own), blockCount: count)
        }
    }

    /// In the order of the touches.
    private(set) var inOrder: [Run] = []
    /// The runs of each chunk that has any, sorted.
    private(set) var byChunk: [UInt32: [Run]] = [:]

    init(_ chunks: [ChunkDescriptor], _ touches: [Touch]) {
        let indexes = Dictionary(chunks.enumerated().map { ($1.digest, UInt32($0)) }) { first, _ in first }
        var taken: [UInt32: UInt16] = [:]
        for touch in touches {
            guard let chunk = indexes[touch.chunk] else { continue }
            let limit = Int(chunks[Int(chunk)].blockCount)
            let end = min(Int(touch.first) + Int(touch.count), limit)
            for block in min(Int(touch.first), end)..<end {
                let bit = UInt16(1) << UInt16(block)
                if taken[chunk, default: 0] & bit != 0 { continue }
                taken[chunk, default: 0] |= bit
                add(chunk, UInt8(block))
            }
        }
        for run in inOrder { byChunk[run.chunk, default: []].append(run) }
        for chunk in byChunk.keys { byChunk[chunk]?.sort { $0.first < $1.first } }
    }

    private mutating func add(_ chunk: UInt32, _ block: UInt8) {
        if let last = inOrder.last, last.chunk == chunk, last.end == block {
            inOrder[inOrder.count - 1] = Run(chunk: chunk, first: last.first, count: last.count + 1)
        } else {
            inOrder.append(Run(chunk: chunk, first: block, count: 1))
        }
    }
}
