// SPDX-License-Identifier: Apache-2.0

import Glibc
import Volumes

/// What the file system asks of the store, in terms of directory entries.
struct StoreAccess: Sendable {
    let store: VolumeStore

    /// One name in a directory.
    struct Entry {
        let file: String
        let inode: UInt64
        let isDirectory: Bool
    }

    func snapshots() -> [Entry] {
        store.images().map {
            Entry(file: FileNames.shown($0.name), inode: Inode.file($0.id), isDirectory: false)
        }
    }

    func volumes(_ nodes: NodeTable) -> [Entry] {
        var entries = store.volumes().map {
            Entry(file: FileNames.shown($0.name), inode: Inode.file($0.id), isDirectory: false)
        }
        for name in nodes.namesOfPending {
            guard let node = nodes.pendingNode(name, lookedUp: false) else { continue }
            entries.append(Entry(file: FileNames.shown(name), inode: node.inode, isDirectory: false))
        }
        return entries
    }

    func lookUpSnapshot(_ file: String, _ nodes: NodeTable) throws -> Node {
        guard let name = FileNames.name(shownAs: file) else { throw FileError.notFound }
        let snapshot = try store.blockFile(image: name)
        return try nodes.lookUp(Inode.file(snapshot.id), name: name) { () throws(VolumeError) in
            .snapshot(snapshot)
        }
    }

    func lookUpVolume(_ file: String, _ nodes: NodeTable) throws -> Node {
        guard let name = FileNames.name(shownAs: file) else { throw FileError.notFound }
        if let node = nodes.pendingNode(name) { return node }
        let volume = try store.blockFile(volume: name)
        return try nodes.lookUp(Inode.file(volume.id), name: name) { () throws(VolumeError) in
            .volume(volume)
        }
    }

    /// Makes an empty file in volumes/; the store hears of it with the first write or copy.
    func create(_ file: String, _ nodes: NodeTable) throws -> Node {
        guard let name = FileNames.name(shownAs: file) else { throw FileError.invalid }
        try Names.checkVolume(name)
        if store.kind(of: name) != nil { throw FileError.exists }
        guard let node = nodes.createPending(name) else { throw FileError.exists }
        return node
    }

    func remove(_ file: String, _ nodes: NodeTable) throws {
        guard let name = FileNames.name(shownAs: file) else { throw FileError.notFound }
        if nodes.removePending(name) { return }
        let volume = try store.blockFile(volume: name)
        if nodes.isOpen(Inode.file(volume.id)) { throw FileError.busy }
        try store.remove(name)
    }

    /// The volume behind a file, made of zeros first when the file is still empty.
    func volume(_ node: Node, _ nodes: NodeTable, sizeBytes: UInt64) throws(VolumeError) -> Volume {
        try nodes.materialise(node) { (id) throws(VolumeError) in
            try store.createVolume(named: node.name, sizeBytes: sizeBytes, id: id)
        }
    }

    /// Makes an empty file a clone of another file, whatever the size, in no time.
    func clone(_ source: Content, sourceName: String, onto node: Node, _ nodes: NodeTable) throws {
        switch source {
        case .pending, .gone: throw FileError.copyByHand
        case .snapshot: try clone(image: sourceName, onto: node, nodes)
        case .volume:
            // Its content at this moment needs a name for as long as it takes to clone it.
            let moment = VolumeStore.momentPrefix + String(node.inode, radix: 16)
            _ = try store.snapshot(volume: sourceName, as: moment)
            defer { try? store.remove(moment) }
            try clone(image: moment, onto: node, nodes)
        }
    }

    private func clone(image: String, onto node: Node, _ nodes: NodeTable) throws(VolumeError) {
        _ = try nodes.materialise(node) { (id) throws(VolumeError) in
            try store.clone(image: image, as: node.name, id: id)
        }
    }
}
