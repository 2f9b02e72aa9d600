// SPDX-License-Identifier: Apache-2.0

import Blocks
import Synchronization

/// Where the content of a block of a volume lies.
enum BlockState: UInt8, Sendable {
    /// In the parent snapshot.
    case clean
    /// In the delta's data file.
    case data
    /// Nowhere: it reads as zeros.
    ///
    /// The data file has a hole there.
    case zero
}

/// The state of every block of one delta: a two-level bitmap whose leaves exist where something changed.
///
/// Any thread may read at any time without a lock. One thread at a time may change it (the delta's log lock
/// sees to that); `resize` also needs all readers gone (the volume's gate, held exclusively, sees to that).
final class BlockStates: @unchecked Sendable {
    // Unchecked because: readers touch memory only through atomics, and memory is freed only without readers.

    /// Blocks that one leaf describes: 4 KiB of bits, 128 MiB of a volume.
    static let blocksPerLeaf: UInt32 = 32768
    private static let wordsPerPlane = Int(blocksPerLeaf) / 64

    private typealias Word = Atomic<UInt64>
    /// A leaf is two planes of words: "owned by the delta", and behind it "and reads as zeros".
    private typealias Leaf = UnsafeMutablePointer<Word>

    /// The address of the first of `leafCount` leaf addresses; 0 until the first change.
    private let root = Atomic<UInt>(0)
    private let leafCount: Atomic<Int>
    private let owned = Atomic<Int>(0)

    init(blockCount: UInt32) {
        leafCount = Atomic(Self.leaves(for: blockCount))
    }

    deinit { releaseAll() }

    /// Blocks that are not clean.
    var ownedCount: Int { owned.load(ordering: .relaxed) }

    private static func leaves(for blockCount: UInt32) -> Int {
        (Int(blockCount) + Int(blocksPerLeaf) - 1) / Int(blocksPerLeaf)
    }

    private func table() -> UnsafeMutablePointer<Atomic<UInt>>? {
        UnsafeMutablePointer(bitPattern: root.load(ordering: .acquiring))
    }

    @inline(__always)
    private func leaf(_ index: Int) -> Leaf? {
        guard let table = table() else { return nil }
        return Leaf(bitPattern: table[index].load(ordering: .acquiring))
    }

    // MARK: Reading

    func state(of block: UInt32) -> BlockState {
        run(from: block, to: block + 1).state
    }

    /// The state of a block and the end of the run of blocks after it that share it, at most `limit`.
    func run(from block: UInt32, to limit: UInt32) -> (state: BlockState, end: UInt32) {
        precondition(block < limit, "a run has at least one block")
        guard let leaf = leaf(Int(block / Self.blocksPerLeaf)) else {
            return (.clean, end(of: block, limit) { owned, _ in ~owned })
        }
        let word = Int(block % Self.blocksPerLeaf / 64)
        let bit = UInt64(1) << UInt64(block % 64)
        if leaf[word].load(ordering: .acquiring) & bit == 0 {
            return (.clean, end(of: block, limit) { owned, _ in ~owned })
        }
        if leaf[Self.wordsPerPlane + word].load(ordering: .acquiring) & bit == 0 {
            return (.data, end(of: block, limit) { owned, zero in owned & ~zero })
        }
        return (.zero, end(of: block, limit) { owned, zero in owned & zero })
    }

    /// As `run`, but data and zero blocks count as one: both can be read from the data file.
    func ownedRun(from block: UInt32, to limit: UInt32) -> (isOwned: Bool, end: UInt32) {
        precondition(block < limit, "a run has at least one block")
        let bit = UInt64(1) << UInt64(block % 64)
        if let leaf = leaf(Int(block / Self.blocksPerLeaf)),
            leaf[Int(block % Self.blocksPerLeaf / 64)].load(ordering: .acquiring) & bit != 0
        {
            return (true, end(of: block, limit) { owned, _ in owned })
        }
        return (false, end(of: block, limit) { owned, _ in ~owned })
    }

    /// The first block after `block` whose bit in `matching` is not set.
    @inline(__always)
    private func end(
        of block: UInt32, _ limit: UInt32, _ matching: (_ owned: UInt64, _ zero: UInt64) -> UInt64
    ) -> UInt32 {
        var at = UInt64(block)
        while at < UInt64(limit) {
            guard let leaf = leaf(Int(at / UInt64(Self.blocksPerLeaf))) else {
                if matching(0, 0) == 0 { break }
                at = (at / UInt64(Self.blocksPerLeaf) + 1) * UInt64(Self.blocksPerLeaf)
                continue
            }
            let word = Int(at % UInt64(Self.blocksPerLeaf) / 64)
            let bits = matching(
                leaf[word].load(ordering: .acquiring),
                leaf[Self.wordsPerPlane + word].load(ordering: .acquiring))
            let others = ~bits >> (at % 64)
            if others != 0 {
                at += UInt64(others.trailingZeroBitCount)
                break
            }
            at = (at / 64 + 1) * 64
        }
        return UInt32(min(at, UInt64(limit)))
    }

    // MARK: Changing

    /// Gives every block of the range the state.
    func set(_ range: BlockRange, to state: BlockState) {
        var block = range.start
        while block < range.end {
            let index = Int(block / Self.blocksPerLeaf)
            let end = min(range.end, (block / 64 + 1) * 64)
            guard let leaf = state == .clean ? leaf(index) : makeLeaf(index) else {
                block = min(range.end, UInt32(clamping: (UInt64(index) + 1) * UInt64(Self.blocksPerLeaf)))
                continue
            }
            let count = UInt64(end - block)
            let mask = (count == 64 ? ~0 : (UInt64(1) << count) - 1) << UInt64(block % 64)
            change(leaf, Int(block % Self.blocksPerLeaf / 64), mask, to: state)
            block = end
        }
    }

    /// Blocks below `limit` that the other one owns become `data` here too.
    func add(_ other: BlockStates, below limit: UInt32) {
        for index in 0..<Self.leaves(for: limit) {
            guard index < other.leafCount.load(ordering: .relaxed), let theirs = other.leaf(index),
                let ours = makeLeaf(index)
            else { continue }
            for word in 0..<Self.wordsPerPlane {
                let first = UInt64(index) * UInt64(Self.blocksPerLeaf) + UInt64(word) * 64
                if first >= UInt64(limit) { break }
                let rest = UInt64(limit) - first
                let mask = rest < 64 ? (UInt64(1) << rest) - 1 : ~0
                let bits = theirs[word].load(ordering: .acquiring) & mask
                if bits != 0 { change(ours, word, bits, to: .data) }
            }
        }
    }

    private func change(_ leaf: Leaf, _ word: Int, _ mask: UInt64, to state: BlockState) {
        let before = leaf[word].load(ordering: .relaxed)
        let zeroWord = Self.wordsPerPlane + word
        let zeros = leaf[zeroWord].load(ordering: .relaxed)
        let after = state == .clean ? before & ~mask : before | mask
        // A block that becomes owned must never look like a zero block of an earlier life, hence this order.
        leaf[zeroWord].store(state == .zero ? zeros | mask : zeros & ~mask, ordering: .releasing)
        leaf[word].store(after, ordering: .releasing)
        owned.wrappingAdd(after.nonzeroBitCount - before.nonzeroBitCount, ordering: .relaxed)
    }

    private func makeLeaf(_ index: Int) -> Leaf? {
        if let leaf = leaf(index) { return leaf }
        let table = table() ?? makeTable(leafCount.load(ordering: .relaxed))
        let leaf = Leaf.allocate(capacity: 2 * Self.wordsPerPlane)
        for word in 0..<2 * Self.wordsPerPlane { (leaf + word).initialize(to: Word(0)) }
        table[index].store(UInt(bitPattern: leaf), ordering: .releasing)
        return leaf
    }

    private func makeTable(_ count: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
        let table = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: max(1, count))
        for index in 0..<count { (table + index).initialize(to: Atomic(0)) }
        root.store(UInt(bitPattern: table), ordering: .releasing)
        return table
    }

    /// Changes the length; blocks beyond it become clean.
    ///
    /// No reader may be there.
    func resize(from old: UInt32, to new: UInt32) {
        if new < old { set(BlockRange(start: new, count: old - new), to: .clean) }
        let count = Self.leaves(for: max(old, new))
        let before = leafCount.load(ordering: .relaxed)
        if count <= before { return }
        leafCount.store(count, ordering: .relaxed)
        guard let table = table() else { return }
        let larger = makeTable(count)
        for index in 0..<before {
            larger[index].store(table[index].load(ordering: .relaxed), ordering: .relaxed)
        }
        table.deinitialize(count: before)
        table.deallocate()
    }

    private func releaseAll() {
        guard let table = table() else { return }
        let count = leafCount.load(ordering: .relaxed)
        for index in 0..<count {
            guard let leaf = Leaf(bitPattern: table[index].load(ordering: .relaxed)) else { continue }
            leaf.deinitialize(count: 2 * Self.wordsPerPlane)
            leaf.deallocate()
        }
        table.deinitialize(count: count)
        table.deallocate()
    }
}
