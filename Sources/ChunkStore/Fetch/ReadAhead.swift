// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Finds readers that go on where they were, among reads at byte positions of one or several spaces.
struct SequenceDetector {
    private struct Stream {
        let space: UInt64
        /// Behind the last read.
        var end: UInt64
        /// Behind what was read ahead.
        var ahead: UInt64
        var window: UInt64 = 0
        var lastUse: UInt64

        /// Moves on; the window doubles each time that half of it is used up.
        mutating func goOn(_ read: Range<UInt64>, _ limits: ClosedRange<UInt64>) -> Range<UInt64>? {
            end = max(end, read.upperBound)
            ahead = max(ahead, end)
            if ahead - end > window / 2 { return nil }
            window = min(limits.upperBound, max(limits.lowerBound, window * 2))
            let from = ahead
            ahead = max(ahead, end + window)
            return from < ahead ? from..<ahead : nil
        }
    }

    private static let maximumStreams = 8
    /// Reads may overlap so far, and leave out so much, and still count as going on.
    private static let overlap: UInt64 = 64 << 10
    private static let skip: UInt64 = 256 << 10

    private let window: ClosedRange<UInt64>
    private var streams: [Stream] = []
    private var clock: UInt64 = 0

    init(window: ClosedRange<UInt64>) {
        self.window = window
    }

    /// Notes a read.
    /// - Returns: whether the reader goes on where it was, and what is to be read ahead for it, if anything.
    mutating func note(_ read: Range<UInt64>, in space: UInt64) -> (goesOn: Bool, ahead: Range<UInt64>?) {
        clock += 1
        let index = streams.firstIndex { stream in
            stream.space == space && read.lowerBound + Self.overlap >= stream.end
                && read.lowerBound <= max(stream.end, stream.ahead) + Self.skip
        }
        guard let index else {
            if streams.count == Self.maximumStreams,
                let oldest = streams.indices.min(by: { streams[$0].lastUse < streams[$1].lastUse })
            {
                streams.remove(at: oldest)
            }
            streams.append(
                Stream(space: space, end: read.upperBound, ahead: read.upperBound, lastUse: clock))
            return (false, nil)
        }
        streams[index].lastUse = clock
        return (true, streams[index].goOn(read, window))
    }
}

/// What the readers of each map do, and what follows from it.
///
/// A reader that goes on, in the order of blocks or in that of a pack, has a window before it fetched. A map
/// of which much is read, again and again, is fetched whole.
final class ReadAhead: Sendable {
    /// What is to be done after a miss.
    enum Step {
        /// Fetch these blocks ahead.
        case blocks(BlockRange)
        /// Fetch these bytes of the pack ahead.
        case pack(FetchPack, Range<UInt64>, PlacedChunks)
        /// List the chunks of the map by packs, and give the list to `setOrder`.
        case list
        /// Fetch all of the map.
        case everything
        /// All of the map is being fetched: go on from here.
        case steer(walk: UInt64)
    }

    private struct Readers {
        weak var map: ResidentMap?
        var blocks: SequenceDetector
        var packs: SequenceDetector
        /// Reads that went on in a pack and not in the order of blocks.
        var packRuns = 0
        var isListing = false
        var order: PlacedChunks?
        /// Bytes missed, those of half a minute ago counted half.
        var missed: Double = 0
        var lastMiss = MonotonicTime.now
        var isEager = false
        var walk: UInt64?
    }

    private static let halfLifeSeconds = 30.0
    private static let runsBeforeListing = 4

    private let limits: FetchLimits
    private let maps = Lock<[ObjectIdentifier: Readers]>([:])

    init(_ limits: FetchLimits) {
        self.limits = limits
    }

    /// Notes a miss.
    /// - Parameters:
    ///   - bytes: what of the range is absent and not about to come with a boot pack.
    ///   - place: of the first absent chunk, with its pack.
    func note(
        _ map: ResidentMap, _ range: BlockRange, bytes: Int, at place: (pack: FetchPack, offset: UInt64)?
    ) -> [Step] {
        maps.withLock { maps in
            let key = ObjectIdentifier(map)
            if maps[key]?.map == nil {
                maps = maps.filter { $1.map != nil }
                maps[key] = Readers(
                    map: map, blocks: SequenceDetector(window: limits.readAheadWindow),
                    packs: SequenceDetector(window: limits.readAheadWindow))
            }
            guard var readers = maps[key] else { return [] }
            // Taken out, so that it is changed in place.
            maps[key] = nil
            defer { maps[key] = readers }
            return note(&readers, range, bytes, place)
        }
    }

    private func note(
        _ readers: inout Readers, _ range: BlockRange, _ bytes: Int,
        _ place: (pack: FetchPack, offset: UInt64)?
    ) -> [Step] {
        if let walk = readers.walk { return [.steer(walk: walk)] }
        if readers.isEager { return [] }
        let now = MonotonicTime.now
        let age = now.seconds(since: readers.lastMiss)
        readers.lastMiss = now
        readers.missed /= 1 + age / Self.halfLifeSeconds
        readers.missed += Double(bytes)
        if let eager = limits.eagerBytes, readers.missed > Double(eager) {
            readers.isEager = true
            return [.everything]
        }
        let block = UInt64(Block.bytes)
        let (goesOn, ahead) = readers.blocks.note(
            UInt64(range.start) * block..<UInt64(range.end) * block, in: 0)
        if let ahead {
            let start = UInt32(ahead.lowerBound / block)
            let end = UInt32(clamping: min(ahead.upperBound / block, UInt64(readers.map?.blockCount ?? 0)))
            return end > start ? [.blocks(BlockRange(start: start, count: end - start))] : []
        }
        if goesOn { return [] }
        return place.map { notePack(&readers, $0.pack, $0.offset, bytes) } ?? []
    }

    private func notePack(
        _ readers: inout Readers, _ pack: FetchPack, _ offset: UInt64, _ bytes: Int
    ) -> [Step] {
        let space = pack.info.digest.words.0
        let (goesOn, ahead) = readers.packs.note(offset..<offset + UInt64(max(1, bytes)), in: space)
        if !goesOn { return [] }
        readers.packRuns += 1
        if let order = readers.order { return ahead.map { [.pack(pack, $0, order)] } ?? [] }
        if readers.packRuns < Self.runsBeforeListing || readers.isListing { return [] }
        readers.isListing = true
        return [.list]
    }

    func setOrder(_ order: PlacedChunks, of map: ResidentMap) {
        maps.withLock { $0[ObjectIdentifier(map)]?.order = order }
    }

    func setWalk(_ walk: UInt64, of map: ResidentMap) {
        maps.withLock { maps in
            maps[ObjectIdentifier(map)]?.walk = walk
            maps[ObjectIdentifier(map)]?.order = nil
        }
    }

    func forget(_ map: ResidentMap) {
        maps.withLock { $0[ObjectIdentifier(map)] = nil }
    }

    func removeAll() {
        maps.withLock { $0 = [:] }
    }
}
