// SPDX-License-Identifier: Apache-2.0

/// The records of the arenas, kept small because there may be millions.
extension FileTree {
    struct Node: Sendable {
        /// A directory's payload: the first and the last entry.
        static let noChildren = UInt64.max

        private(set) var mode: UInt16 = 0
        let kind: FileKind
        var isImplicit = false
        private(set) var owner: UInt32 = 0
        private(set) var group: UInt32 = 0
        private(set) var xattrSet: UInt32 = 0
        var linkCount: UInt32 = 0
        private var modifiedNanoseconds: UInt32 = 0
        private var accessedNanoseconds: UInt32 = 0
        private var changedNanoseconds: UInt32 = 0
        private var modifiedSeconds: Int64 = 0
        private var accessedSeconds: Int64 = 0
        private var changedSeconds: Int64 = 0
        /// Of a file or a link's target; a directory that has a link keeps the index of its entry here.
        var sizeBytes: UInt64 = 0
        /// File: first extent and count.
        ///
        /// Directory: first and last entry. Link: place of its target. Device: numbers.
        var payload: UInt64

        init(_ kind: FileKind, _ attributes: Attributes, xattrSet: UInt32, payload: UInt64) {
            self.kind = kind
            self.payload = payload
            set(attributes, xattrSet: xattrSet)
        }

        mutating func set(_ attributes: Attributes, xattrSet: UInt32) {
            mode = attributes.mode & 0o7777 | kind.modeBits
            owner = attributes.owner
            group = attributes.group
            (modifiedSeconds, modifiedNanoseconds) = (
                attributes.modified.seconds, attributes.modified.nanoseconds
            )
            (accessedSeconds, accessedNanoseconds) = (
                attributes.accessed.seconds, attributes.accessed.nanoseconds
            )
            (changedSeconds, changedNanoseconds) = (
                attributes.changed.seconds, attributes.changed.nanoseconds
            )
            self.xattrSet = xattrSet
        }

        var modified: Timestamp { Timestamp(seconds: modifiedSeconds, nanoseconds: modifiedNanoseconds) }
        var accessed: Timestamp { Timestamp(seconds: accessedSeconds, nanoseconds: accessedNanoseconds) }
        var changed: Timestamp { Timestamp(seconds: changedSeconds, nanoseconds: changedNanoseconds) }

        var extentRange: Range<Int> {
            let first = Int(payload >> 32)
            return first..<first + Int(payload & 0xFFFF_FFFF)
        }

        var firstEntry: UInt32 {
            get { UInt32(payload >> 32) }
            set { payload = UInt64(newValue) << 32 | payload & 0xFFFF_FFFF }
        }

        var lastEntry: UInt32 {
            get { UInt32(truncatingIfNeeded: payload) }
            set { payload = (payload & ~0xFFFF_FFFF) | UInt64(newValue) }
        }
    }

    /// A name in a directory; entries of one directory form a list in both directions.
    struct Entry: Sendable {
        /// No entry.
        static let none = UInt32.max

        let nameOffset: Int
        let nameCount: UInt8
        let directory: UInt32
        let node: UInt32
        var previous: UInt32
        var next: UInt32

        var nameRange: Range<Int> { nameOffset..<nameOffset + Int(nameCount) }
    }

    mutating func append(_ kind: FileKind, _ attributes: Attributes, payload: UInt64) -> NodeID {
        precondition(nodes.count < Int(UInt32.max), "a tree has fewer than 2^32 nodes")
        let set = xattrSet(attributes.xattrs)
        nodes.append(Node(kind, attributes, xattrSet: set, payload: payload))
        return NodeID(index: UInt32(nodes.count - 1))
    }

    /// The place of a list of attributes; the empty list has place 0, and a run of equal lists one place.
    mutating func xattrSet(_ xattrs: [Xattr]) -> UInt32 {
        if xattrs.isEmpty { return 0 }
        if xattrSets[xattrSets.count - 1] != xattrs { xattrSets.append(xattrs) }
        return UInt32(xattrSets.count - 1)
    }
}

/// An open-addressing table from (directory, name) to an entry's index; the names themselves are in the tree.
struct NameTable: Sendable {
    private static let empty = UInt32.max
    private static let removed = UInt32.max - 1

    private var slots = [UInt32](repeating: empty, count: 64)
    /// Slots that are not empty, removed ones among them.
    private var used = 0
    private var live = 0

    /// Keyed by the process's random seed, so that hostile names cannot make the table slow.
    static func hash(_ name: Span<UInt8>, directory: UInt32) -> UInt64 {
        var hasher = Hasher()
        var word = UInt64(directory) << 8 | UInt64(name.count)
        for index in 0..<name.count {
            if index & 7 == 0 {
                hasher.combine(word)
                word = 0
            }
            word = word << 8 | UInt64(name[index])
        }
        hasher.combine(word)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    /// Whether the next insertion needs a rebuild before it.
    var isFull: Bool { used * 4 >= slots.count * 3 }

    func entry(at slot: Int) -> UInt32 { slots[slot] }

    func find(_ hash: UInt64, _ matches: (UInt32) -> Bool) -> Int? {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != Self.empty {
            if slots[slot] != Self.removed, matches(slots[slot]) { return slot }
            slot = (slot + 1) & mask
        }
        return nil
    }

    mutating func insert(_ entry: UInt32, _ hash: UInt64) {
        precondition(entry < Self.removed && used < slots.count, "the table has room")
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != Self.empty { slot = (slot + 1) & mask }
        slots[slot] = entry
        used += 1
        live += 1
    }

    mutating func remove(at slot: Int) {
        slots[slot] = Self.removed
        live -= 1
    }

    /// Drops removed slots, and doubles the table when what is left still fills half of it.
    mutating func rebuild(_ entries: [FileTree.Entry], _ names: Span<UInt8>) {
        let old = slots
        slots = [UInt32](repeating: Self.empty, count: live * 2 >= old.count ? old.count * 2 : old.count)
        (used, live) = (0, 0)
        for index in old where index < Self.removed {
            let entry = entries[Int(index)]
            insert(index, Self.hash(names.extracting(entry.nameRange), directory: entry.directory))
        }
    }
}
