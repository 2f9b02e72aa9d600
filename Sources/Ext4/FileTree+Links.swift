// SPDX-License-Identifier: Apache-2.0

/// Names: the links from directories to nodes.
extension FileTree {
    /// Gives a node a name.
    ///
    /// Several links to one node that is no directory are hard links.
    /// - Precondition: the name is new in the directory, has 1 to 255 bytes, no NUL and no slash, and is
    ///   neither `.` nor `..`; a directory has one link at most, and the root none.
    public mutating func link(_ node: NodeID, name: [UInt8], in directory: NodeID) {
        precondition(nodes[Int(directory.index)].kind == .directory, "only a directory holds names")
        precondition(
            Self.isValidName(name), "a name has 1 to 255 bytes, no slash, no NUL, and is not . or ..")
        precondition(
            nodes[Int(node.index)].kind != .directory || nodes[Int(node.index)].linkCount == 0,
            "a directory has one name only")
        let hash = NameTable.hash(name.span, directory: directory.index)
        precondition(find(name, directory, hash) == nil, "the name is new in its directory")
        let entry = UInt32(entries.count)
        let last = nodes[Int(directory.index)].lastEntry
        entries.append(
            Entry(
                nameOffset: names.count, nameCount: UInt8(name.count), directory: directory.index,
                node: node.index, previous: last, next: Entry.none))
        names.append(contentsOf: name)
        if last == Entry.none {
            nodes[Int(directory.index)].firstEntry = entry
        } else {
            entries[Int(last)].next = entry
        }
        nodes[Int(directory.index)].lastEntry = entry
        nodes[Int(node.index)].linkCount += 1
        if nodes[Int(node.index)].kind == .directory { nodes[Int(node.index)].sizeBytes = UInt64(entry) }
        insert(entry, hash)
    }

    /// Takes a name away; false when the directory has no such name.
    ///
    /// The node stays in the arena, with a link less.
    @discardableResult
    public mutating func unlink(name: [UInt8], in directory: NodeID) -> Bool {
        let hash = NameTable.hash(name.span, directory: directory.index)
        guard let slot = find(name, directory, hash) else { return false }
        let index = slots.entry(at: slot)
        let entry = entries[Int(index)]
        if entry.previous == Entry.none {
            nodes[Int(directory.index)].firstEntry = entry.next
        } else {
            entries[Int(entry.previous)].next = entry.next
        }
        if entry.next == Entry.none {
            nodes[Int(directory.index)].lastEntry = entry.previous
        } else {
            entries[Int(entry.next)].previous = entry.previous
        }
        nodes[Int(entry.node)].linkCount -= 1
        slots.remove(at: slot)
        return true
    }

    /// The node of that name in the directory; nil when there is none, or when it is no directory.
    public func child(named name: [UInt8], in directory: NodeID) -> NodeID? {
        let hash = NameTable.hash(name.span, directory: directory.index)
        guard let slot = find(name, directory, hash) else { return nil }
        return NodeID(index: entries[Int(slots.entry(at: slot))].node)
    }

    /// The names in a directory, in the order in which they were linked; empty for other kinds.
    public func children(of directory: NodeID) -> [Child] {
        var result: [Child] = []
        forEachEntry(in: directory) { entry in
            result.append(Child(name: Array(names[entry.nameRange]), node: NodeID(index: entry.node)))
        }
        return result
    }

    /// Whether the directory holds no name.
    public func isEmpty(_ directory: NodeID) -> Bool {
        nodes[Int(directory.index)].kind != .directory || nodes[Int(directory.index)].firstEntry == Entry.none
    }

    /// The directory that holds a directory; nil for the root, for an unlinked directory and for other kinds.
    public func parent(of directory: NodeID) -> NodeID? {
        entry(of: directory).map { NodeID(index: $0.directory) }
    }

    /// A path that leads to the node, from the root, without a leading slash; for messages.
    ///
    /// Empty for the root. For nodes that are no directory this searches all names.
    public func path(of node: NodeID) -> [UInt8] {
        var parts: [ArraySlice<UInt8>] = []
        var current = entry(of: node) ?? entries.first { $0.node == node.index }
        // No path is longer than the number of links; the bound stops at a cycle of unlinked directories.
        while let entry = current, parts.count <= entries.count {
            parts.append(names[entry.nameRange])
            current = self.entry(of: NodeID(index: entry.directory))
        }
        return Array(parts.reversed().joined(separator: [UInt8(ascii: "/")]))
    }

    /// Whether the bytes may stand as a name in a directory.
    public static func isValidName(_ name: [UInt8]) -> Bool {
        (1...maximumNameBytes).contains(name.count) && !name.contains(0) && !name.contains(UInt8(ascii: "/"))
            && name != [UInt8(ascii: ".")] && name != [UInt8(ascii: "."), UInt8(ascii: ".")]
    }

    /// Calls `body` for the links in a directory, in the order in which they were made.
    func forEachEntry<E: Error>(in directory: NodeID, _ body: (Entry) throws(E) -> Void) throws(E) {
        guard nodes[Int(directory.index)].kind == .directory else { return }
        var index = nodes[Int(directory.index)].firstEntry
        while index != Entry.none {
            let entry = entries[Int(index)]
            try body(entry)
            index = entry.next
        }
    }

    /// The one link to a directory.
    private func entry(of directory: NodeID) -> Entry? {
        let record = nodes[Int(directory.index)]
        guard record.kind == .directory, record.linkCount > 0, directory != .root else { return nil }
        return entries[Int(record.sizeBytes)]
    }

    private func find(_ name: [UInt8], _ directory: NodeID, _ hash: UInt64) -> Int? {
        slots.find(hash) { index in
            let entry = entries[Int(index)]
            return entry.directory == directory.index && Int(entry.nameCount) == name.count
                && names[entry.nameRange].elementsEqual(name)
        }
    }

    private mutating func insert(_ entry: UInt32, _ hash: UInt64) {
        if slots.isFull {
            let names = self.names
            slots.rebuild(entries, names.span)
        }
        slots.insert(entry, hash)
    }
}
