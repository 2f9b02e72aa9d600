// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// The chunks that are known: digest to handle, and for each handle its digest, slot and reference count.
///
/// A chunk is present, with a slot in an arena, or absent, with a place in a pack. Not thread-safe: the store
/// keeps it inside a lock. A chunk costs some 57 bytes: digest, slot, counts, flags, and its share of the
/// buckets; and 12 more when it has a place.
final class ChunkTable {
    struct Flags: OptionSet {
        let rawValue: UInt8
        /// A durable record of the index names the chunk.
        static let indexed = Flags(rawValue: 1)
        /// The chunk can be found by its digest.
        static let findable = Flags(rawValue: 2)
        /// The chunk stands in the list of those whose count fell to zero.
        static let listed = Flags(rawValue: 4)
        /// The chunk was fetched and waits for its record in the index; it is kept without references
        /// meanwhile.
        static let pending = Flags(rawValue: 8)
    }

    private struct Segment {
        let digests: UnsafeMutablePointer<Digest>
        let references: UnsafeMutablePointer<UInt32>
        /// Those of the references whose holders could not have the chunk fetched again.
        let pins: UnsafeMutablePointer<UInt32>
        let flags: UnsafeMutablePointer<Flags>
    }

    let slots = SlotTable()
    let places = PlaceBook()
    /// Chunks that are present, and their blocks.
    private(set) var count = 0
    private(set) var plainBlocks: UInt64 = 0
    /// Chunks that are known but absent, and their blocks.
    private(set) var absentCount = 0
    private(set) var absentBlocks: UInt64 = 0
    private(set) var references: UInt64 = 0
    /// Blocks of present chunks that nobody has pinned.
    private(set) var cachedBlocks: UInt64 = 0
    /// Chunks whose count fell to zero since they were last looked at; some may have risen again.
    private var unreferenced: [UInt32] = []

    private var segments: [Segment] = []
    private var nextHandle: UInt32 = 0
    private var freeHandles: [UInt32] = []
    private var buckets: UnsafeMutableBufferPointer<UInt32>
    private var shift: UInt64
    /// A secret factor, so that nobody can choose digests that fall into one bucket.
    private let factor = UInt64.random(in: .min ... .max) | 1

    private static let empty = UInt32.max

    init() {
        buckets = Self.makeBuckets(1 << 10)
        shift = 64 - 10
    }

    deinit {
        buckets.deallocate()
        for segment in segments {
            segment.digests.deallocate()
            segment.references.deallocate()
            segment.pins.deallocate()
            segment.flags.deallocate()
        }
    }

    private static func makeBuckets(_ count: Int) -> UnsafeMutableBufferPointer<UInt32> {
        let buckets = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: count)
        buckets.initialize(repeating: empty)
        return buckets
    }

    // MARK: Lookup

    @inline(__always)
    private func home(_ digest: Digest) -> Int {
        Int(truncatingIfNeeded: (digest.words.0 &* factor) >> shift)
    }

    /// The handle of some chunk of this digest that can be found; nil when there is none.
    func find(_ digest: Digest) -> UInt32? {
        var place = home(digest)
        while buckets[place] != Self.empty {
            if self.digest(of: buckets[place]) == digest { return buckets[place] }
            place = (place + 1) & (buckets.count - 1)
        }
        return nil
    }

    /// The handle of a chunk of this digest and length, present or absent.
    ///
    /// A map may claim a wrong length for a digest. Such a chunk is another one, which stays absent for good,
    /// so that it stands in nobody's way.
    func find(_ chunk: ChunkDescriptor) -> UInt32? {
        var place = home(chunk.digest)
        while buckets[place] != Self.empty {
            let handle = buckets[place]
            if digest(of: handle) == chunk.digest && slots[handle].count == chunk.blockCount { return handle }
            place = (place + 1) & (buckets.count - 1)
        }
        return nil
    }

    /// The chunk of a handle; nil when it is hidden or the handle is free.
    func findable(_ handle: UInt32) -> ChunkDescriptor? {
        flags(of: handle).contains(.findable) ? descriptor(of: handle) : nil
    }

    func descriptor(of handle: UInt32) -> ChunkDescriptor {
        ChunkDescriptor(digest: digest(of: handle), blockCount: slots[handle].count)
    }

    @inline(__always)
    func digest(of handle: UInt32) -> Digest {
        let place = locate(handle)
        return segments[place.0].digests[place.1]
    }

    func flags(of handle: UInt32) -> Flags {
        let place = locate(handle)
        return segments[place.0].flags[place.1]
    }

    func referenceCount(of handle: UInt32) -> UInt32 {
        let place = locate(handle)
        return segments[place.0].references[place.1]
    }

    func isPinned(_ handle: UInt32) -> Bool {
        let place = locate(handle)
        return segments[place.0].pins[place.1] > 0
    }

    /// Handles that were given out so far; each is below this number.
    var handleLimit: UInt32 { nextHandle }

    @inline(__always)
    private func locate(_ handle: UInt32) -> (Int, Int) {
        (Int(handle >> SlotTable.segmentBits), Int(handle & (1 << SlotTable.segmentBits - 1)))
    }

    /// Calls `body` for the handle of every chunk that can be found, present or absent, in the order of
    /// handles.
    func forEach(_ body: (UInt32) -> Void) {
        for handle in 0..<nextHandle where flags(of: handle).contains(.findable) { body(handle) }
    }

    // MARK: Change

    /// Enters a chunk that cannot be found yet, with no references.
    func insert(_ digest: Digest, _ slot: Slot, _ flags: Flags) -> UInt32 {
        if (count + absentCount + 1) * 4 > buckets.count * 3 { grow() }
        let handle = freeHandles.popLast() ?? nextHandle
        if handle == nextHandle { nextHandle += 1 }
        let place = locate(handle)
        if place.0 == segments.count { addSegment() }
        segments[place.0].digests[place.1] = digest
        segments[place.0].references[place.1] = 0
        segments[place.0].pins[place.1] = 0
        segments[place.0].flags[place.1] = flags.union(.findable)
        slots.set(handle, slot)
        enter(handle, digest)
        tally(handle, slot, 1)
        return handle
    }

    /// Adds a chunk to the figures, or takes it out.
    private func tally(_ handle: UInt32, _ slot: Slot, _ sign: Int) {
        let blocks = UInt64(bitPattern: Int64(sign) * Int64(slot.count))
        if slot.isPresent {
            count += sign
            plainBlocks &+= blocks
            if !isPinned(handle) { cachedBlocks &+= blocks }
        } else {
            absentCount += sign
            absentBlocks &+= blocks
        }
    }

    /// Makes an absent chunk present: readers see the one or the other.
    func publish(_ handle: UInt32, _ slot: Slot, _ added: Flags) {
        let place = locate(handle)
        assert(
            slots[handle].isAbsent && slots[handle].count == slot.count, "only an absent chunk is published")
        tally(handle, slots[handle], -1)
        tally(handle, slot, 1)
        segments[place.0].flags[place.1].formUnion(added)
        slots.set(handle, slot, isTouched: true)
    }

    /// Makes a present chunk absent again, when its data cannot be believed or is to go; returns the slot it
    /// had.
    func withdraw(_ handle: UInt32) -> Slot {
        let slot = slots[handle]
        let place = locate(handle)
        segments[place.0].flags[place.1].subtract([.pending, .indexed])
        tally(handle, slot, -1)
        slots.set(handle, .absent(count: slot.count))
        tally(handle, slots[handle], 1)
        return slot
    }

    private func addSegment() {
        let capacity = SlotTable.segmentCount
        // Left uninitialised on purpose: the pages are only taken when handles reach them.
        segments.append(
            Segment(
                digests: .allocate(capacity: capacity), references: .allocate(capacity: capacity),
                pins: .allocate(capacity: capacity), flags: .allocate(capacity: capacity)))
    }

    private func enter(_ handle: UInt32, _ digest: Digest) {
        var place = home(digest)
        while buckets[place] != Self.empty { place = (place + 1) & (buckets.count - 1) }
        buckets[place] = handle
    }

    private func grow() {
        let old = buckets
        buckets = Self.makeBuckets(old.count * 2)
        shift -= 1
        for handle in old where handle != Self.empty { enter(handle, digest(of: handle)) }
        old.deallocate()
    }

    func retain(_ handle: UInt32) {
        let place = locate(handle)
        precondition(segments[place.0].references[place.1] < .max, "too many references on one chunk")
        segments[place.0].references[place.1] += 1
        references += 1
    }

    /// Gives one reference back; true when it was the last one.
    func release(_ handle: UInt32) -> Bool {
        let place = locate(handle)
        precondition(
            segments[place.0].references[place.1] > 0, "a chunk is released more often than retained")
        segments[place.0].references[place.1] -= 1
        references -= 1
        return segments[place.0].references[place.1] == 0
    }

    /// Keeps a referenced chunk here: nothing may make it absent to save space.
    func pin(_ handle: UInt32) {
        let place = locate(handle)
        assert(segments[place.0].references[place.1] > 0, "only a referenced chunk is pinned")
        segments[place.0].pins[place.1] += 1
        if segments[place.0].pins[place.1] == 1 { tallyCached(handle, -1) }
    }

    func unpin(_ handle: UInt32) {
        let place = locate(handle)
        precondition(segments[place.0].pins[place.1] > 0, "a chunk is unpinned more often than pinned")
        segments[place.0].pins[place.1] -= 1
        if segments[place.0].pins[place.1] == 0 { tallyCached(handle, 1) }
    }

    private func tallyCached(_ handle: UInt32, _ sign: Int) {
        let slot = slots[handle]
        guard slot.isPresent, flags(of: handle).contains(.findable) else { return }
        cachedBlocks &+= UInt64(bitPattern: Int64(sign) * Int64(slot.count))
    }

    func markPending(_ handle: UInt32) {
        let place = locate(handle)
        segments[place.0].flags[place.1].insert(.pending)
    }

    func markIndexed(_ handle: UInt32) {
        let place = locate(handle)
        segments[place.0].flags[place.1].insert(.indexed)
        segments[place.0].flags[place.1].remove(.pending)
    }

    /// Remembers a chunk without references for the next collection.
    func listUnreferenced(_ handle: UInt32) {
        let place = locate(handle)
        if segments[place.0].flags[place.1].insert(.listed).inserted { unreferenced.append(handle) }
    }

    /// Takes the list of chunks whose count fell to zero, without those whose count has risen again.
    func takeUnreferenced() -> [UInt32] {
        defer { unreferenced = [] }
        return unreferenced.filter { handle in
            let place = locate(handle)
            // A handle that was given to another chunk meanwhile may stand here twice: the mark counts, once.
            guard segments[place.0].flags[place.1].remove(.listed) != nil else { return false }
            return referenceCount(of: handle) == 0 && flags(of: handle).contains(.findable)
        }
    }

    /// How many chunks without references wait for a collection.
    var unreferencedCount: Int {
        unreferenced.count { referenceCount(of: $0) == 0 }
    }

    /// Makes a chunk impossible to find; its handle and slot stay until `recycle`.
    func hide(_ handle: UInt32) {
        let place = locate(handle)
        guard segments[place.0].flags[place.1].remove(.findable) != nil else { return }
        tally(handle, slots[handle], -1)
        removeFromBuckets(handle)
    }

    /// Makes a hidden chunk without references findable again, unless its digest has been entered anew.
    func unhide(_ handle: UInt32) {
        let digest = digest(of: handle)
        if find(descriptor(of: handle)) != nil { return }
        let place = locate(handle)
        segments[place.0].flags[place.1].insert(.findable)
        enter(handle, digest)
        tally(handle, slots[handle], 1)
        listUnreferenced(handle)
    }

    private func removeFromBuckets(_ handle: UInt32) {
        let mask = buckets.count - 1
        var hole = home(digest(of: handle))
        while buckets[hole] != handle { hole = (hole + 1) & mask }
        // Those behind move up unless that would carry them before their home, so that no probe is cut short.
        var place = hole
        while true {
            place = (place + 1) & mask
            let next = buckets[place]
            if next == Self.empty { break }
            let distance = (place - home(digest(of: next))) & mask
            if distance >= (place - hole) & mask {
                buckets[hole] = next
                hole = place
            }
        }
        buckets[hole] = Self.empty
    }

    /// Gives the handle of a hidden chunk to whoever comes next.
    func recycle(_ handle: UInt32) {
        assert(!flags(of: handle).contains(.findable), "only a hidden chunk's handle is given on")
        slots.set(handle, .none)
        places.remove(handle)
        freeHandles.append(handle)
    }
}
