// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc

/// The places of chunks by handle, and the packs that they lie in.
///
/// Not thread-safe: part of the chunk table. A chunk that has a place costs 12 bytes; second and further
/// places, which few chunks have, stand in a dictionary.
final class PlaceBook {
    /// Places kept of one chunk; tables come from outside, so they must not grow for ever.
    static let maximumPerChunk = 4

    /// A place in two words: bits 0-39 of `word` are the offset, 40-63 the number of the pack; bits 0-15 of
    /// `rest` the bytes less one, bit 16 the coding, bit 30 says that there are more places, bit 31 that
    /// there is this one.
    private struct Packed: Equatable {
        static let more: UInt32 = 1 << 30

        var word: UInt64
        var rest: UInt32

        init(word: UInt64, rest: UInt32) {
            self.word = word
            self.rest = rest
        }

        init(_ place: Place, pack: UInt32) {
            word = UInt64(pack) << 40 | place.offset
            rest = 1 << 31 | UInt32(place.coding.rawValue) << 16 | (place.byteCount - 1)
        }

        var isValid: Bool { rest >> 31 == 1 }
        var hasMore: Bool { rest & Self.more != 0 }
        var pack: UInt32 { UInt32(truncatingIfNeeded: word >> 40) }
        var offset: UInt64 { word & (1 << 40 - 1) }
        var byteCount: Int { Int(rest & 0xFFFF) + 1 }
        var coding: PackDirectory.Coding { rest >> 16 & 1 == 0 ? .plain : .zstd }
        func isSame(as other: Packed) -> Bool { word == other.word }
    }

    private struct Pack {
        let info: PackInfo
        var sources: [SourceID]
        /// First byte behind the part that is laid out in the order of first touches; 0: there is none.
        var bootEnd: UInt64
        /// Places that lie in this pack; the entry goes away with the last one.
        var places = 0
    }

    private struct Segment {
        let words: UnsafeMutablePointer<UInt64>
        let rests: UnsafeMutablePointer<UInt32>
    }

    private static let maximumPacks = 1 << 24

    private var segments: [Segment?] = []
    private var further: [UInt32: [Packed]] = [:]
    private var packs: [Pack?] = []
    private var freePacks: [UInt32] = []
    private var packNumbers: [PackInfo: UInt32] = [:]

    deinit {
        for segment in segments {
            free(segment?.words)
            free(segment?.rests)
        }
    }

    // MARK: Packs

    /// The number of a pack, to which the sources are added; nil when all numbers are taken.
    ///
    /// It lasts until its last place goes, so it must not be kept across the lock.
    func intern(_ info: PackInfo, _ sources: [SourceID], bootEnd: UInt64) -> UInt32? {
        if let number = packNumbers[info] {
            guard var pack = packs[Int(number)] else { return nil }
            for source in sources where !pack.sources.contains(source) { pack.sources.append(source) }
            pack.bootEnd = max(pack.bootEnd, bootEnd)
            packs[Int(number)] = pack
            return number
        }
        let number = freePacks.popLast() ?? UInt32(packs.count)
        if number == Self.maximumPacks { return nil }
        if number == packs.count { packs.append(nil) }
        var unique: [SourceID] = []
        for source in sources where !unique.contains(source) { unique.append(source) }
        packs[Int(number)] = Pack(info: info, sources: unique, bootEnd: bootEnd)
        packNumbers[info] = number
        return number
    }

    /// Forgets a pack in which no place lies.
    func dropIfUnused(_ number: UInt32) {
        guard let pack = packs[Int(number)], pack.places == 0 else { return }
        packNumbers[pack.info] = nil
        packs[Int(number)] = nil
        freePacks.append(number)
    }

    func sources(of info: PackInfo) -> [SourceID] {
        packNumbers[info].flatMap { packs[Int($0)]?.sources } ?? []
    }

    var packCount: Int { packNumbers.count }

    // MARK: Places

    private func locate(_ handle: UInt32) -> (Int, Int) {
        (Int(handle >> SlotTable.segmentBits), Int(handle & (1 << SlotTable.segmentBits - 1)))
    }

    private func first(_ handle: UInt32) -> Packed? {
        let (index, place) = locate(handle)
        guard index < segments.count, let segment = segments[index] else { return nil }
        let packed = Packed(word: segment.words[place], rest: segment.rests[place])
        return packed.isValid ? packed : nil
    }

    private func setFirst(_ handle: UInt32, _ packed: Packed) {
        let (index, place) = locate(handle)
        while segments.count <= index { segments.append(nil) }
        let segment = segments[index] ?? makeSegment(index)
        segment.words[place] = packed.word
        segment.rests[place] = packed.rest
    }

    private func makeSegment(_ index: Int) -> Segment {
        // Zeroed by the kernel, and only taken page by page as handles get places.
        guard let words = calloc(SlotTable.segmentCount, MemoryLayout<UInt64>.stride),
            let rests = calloc(SlotTable.segmentCount, MemoryLayout<UInt32>.stride)
        else { preconditionFailure("out of memory") }
        let segment = Segment(
            words: words.assumingMemoryBound(to: UInt64.self),
            rests: rests.assumingMemoryBound(to: UInt32.self))
        segments[index] = segment
        return segment
    }

    private func all(_ handle: UInt32) -> [Packed] {
        guard let first = first(handle) else { return [] }
        return first.hasMore ? [first] + (further[handle] ?? []) : [first]
    }

    private func setAll(_ handle: UInt32, _ places: [Packed]) {
        guard var first = places.first else { return setFirst(handle, Packed(word: 0, rest: 0)) }
        let rest = places.dropFirst().map { Packed(word: $0.word, rest: $0.rest & ~Packed.more) }
        first.rest = rest.isEmpty ? first.rest & ~Packed.more : first.rest | Packed.more
        further[handle] = rest.isEmpty ? nil : rest
        setFirst(handle, first)
    }

    func has(_ handle: UInt32) -> Bool { first(handle) != nil }

    /// Adds a place, unless it is known; of too many the last gives way.
    func add(_ place: Place, pack: UInt32, to handle: UInt32) {
        let packed = Packed(place, pack: pack)
        var known = all(handle)
        if known.contains(where: { $0.isSame(as: packed) }) { return }
        if known.count == Self.maximumPerChunk, let last = known.popLast() { leave(last) }
        packs[Int(pack)]?.places += 1
        setAll(handle, known + [packed])
    }

    private func leave(_ place: Packed) {
        packs[Int(place.pack)]?.places -= 1
        dropIfUnused(place.pack)
    }

    /// Forgets all places of a chunk.
    func remove(_ handle: UInt32) {
        let known = all(handle)
        if known.isEmpty { return }
        setAll(handle, [])
        further[handle] = nil
        for place in known { leave(place) }
    }

    /// The places of a chunk, the one to try first in front.
    func places(of handle: UInt32) -> [ChunkPlace] {
        all(handle).compactMap(chunkPlace)
    }

    /// The place to try first.
    func place(of handle: UInt32) -> ChunkPlace? {
        first(handle).flatMap(chunkPlace)
    }

    /// The place to try first, and the bytes of its pack that are laid out by first touches; one in a pack
    /// that `source` has is preferred.
    func place(of handle: UInt32, preferring source: SourceID?) -> (place: ChunkPlace, bootEnd: UInt64)? {
        guard let first = first(handle) else { return nil }
        var chosen = first
        if let source, first.hasMore {
            let had = all(handle).first { packs[Int($0.pack)]?.sources.contains(source) ?? false }
            chosen = had ?? first
        }
        return chunkPlace(chosen).map { ($0, packs[Int(chosen.pack)]?.bootEnd ?? 0) }
    }

    private func chunkPlace(_ packed: Packed) -> ChunkPlace? {
        guard let pack = packs[Int(packed.pack)] else { return nil }
        return ChunkPlace(
            pack: pack.info, offset: packed.offset, byteCount: packed.byteCount, coding: packed.coding,
            sources: pack.sources)
    }

    /// Puts a place behind all others of its chunk.
    func demote(_ place: ChunkPlace, of handle: UInt32) {
        var known = all(handle)
        guard let number = packNumbers[place.pack],
            let index = known.firstIndex(where: { $0.pack == number && $0.offset == place.offset })
        else { return }
        known.append(known.remove(at: index))
        setAll(handle, known)
    }
}
