// SPDX-License-Identifier: Apache-2.0

import Base
import Synchronization
import Volumes

/// The files that the kernel knows, by inode number.
///
/// Not on the data path, unless a file was opened before this process began to serve: other reads and writes find
/// their file through the handle.
final class NodeTable: Sendable {
    private struct State {
        var nodes: [UInt64: Node] = [:]
        /// Files in volumes/ that nothing was written to yet, by name; the store does not know them.
        var pending: [String: Node] = [:]
        /// Files that the kernel has open since before this process began to serve.
        var inherited: [UInt64: OpenFile] = [:]
    }

    private let state = Lock(State())
    private let store: VolumeStore
    private let pendingNames: PendingNames

    init(_ store: VolumeStore, _ pendingNames: PendingNames) {
        self.store = store
        self.pendingNames = pendingNames
        for (id, name) in pendingNames.load() {
            if (try? store.blockFile(numbered: id)) != nil { continue }
            let node = Node(inode: Inode.file(id), name: name, content: .pending)
            node.state.withLock { $0.isInherited = true }
            state.withLock { state in
                state.pending[name] = node
                state.nodes[node.inode] = node
            }
        }
    }

    /// The node of a number that the kernel knows, maybe from a process before this one.
    func node(_ inode: UInt64) throws -> Node {
        if let node = state.withLock({ $0.nodes[inode] }) { return node }
        return try inherit(inode).node
    }

    /// The node, and what holds its content.
    private func inherit(_ inode: UInt64) throws -> (node: Node, content: Content) {
        let name: String
        let content: Content
        do throws(VolumeError) {
            switch try store.blockFile(numbered: Inode.identifier(inode)) {
            case .snapshot(let snapshot, let imageName): (name, content) = (imageName, .snapshot(snapshot))
            case .volume(let volume): (name, content) = (volume.name, .volume(volume))
            }
        } catch {
            guard case .notFound = error else { throw error }
            throw FileError.stale
        }
        let node = state.withLock { state in
            let node = state.nodes[inode] ?? Node(inode: inode, name: name, content: content)
            state.nodes[inode] = node
            return node
        }
        return (node, content)
    }

    /// A file that was opened before this process began to serve.
    ///
    /// How often is not known: it counts as open until the kernel forgets it.
    func inheritedFile(_ inode: UInt64) throws -> OpenFile {
        if let file = state.withLock({ $0.inherited[inode] }) { return file }
        let known = state.withLock { $0.nodes[inode] }
        let file: OpenFile
        if let known, case .pending = known.content {
            file = try OpenFile(known)
        } else {
            let (node, content) = try inherit(inode)
            file = try OpenFile(node, content)
        }
        return state.withLock { state in
            if let other = state.inherited[inode] { return other }
            state.inherited[inode] = file
            file.node.state.withLock { $0.opens += 1 }
            return file
        }
    }

    func all() -> [Node] { state.withLock { Array($0.nodes.values) } }

    /// The node of an object of the store, counted as looked up once more.
    func lookUp(
        _ inode: UInt64, name: String, _ content: () throws(VolumeError) -> Content
    ) throws(VolumeError) -> Node {
        try state.withLock { state throws(VolumeError) in
            let node: Node
            if let known = state.nodes[inode] {
                node = known
            } else {
                node = Node(inode: inode, name: name, content: try content())
                state.nodes[inode] = node
            }
            node.state.withLock { $0.lookups += 1 }
            return node
        }
    }

    func pendingNode(_ name: String, lookedUp: Bool = true) -> Node? {
        state.withLock { state in
            guard let node = state.pending[name] else { return nil }
            if lookedUp {
                node.state.withLock { $0.lookups += 1 }
                state.nodes[node.inode] = node
            }
            return node
        }
    }

    var namesOfPending: [String] { state.withLock { $0.pending.keys.sorted() } }

    /// A new empty file, looked up once; nil when there is one of that name.
    func createPending(_ name: String) -> Node? {
        state.withLock { state in
            if let known = state.pending[name] {
                // The request of a process that died before it could answer comes again.
                let mayAskAgain = known.state.withLock { node in
                    defer { node.isInherited = false }
                    node.lookups += node.isInherited ? 1 : 0
                    return node.isInherited
                }
                return mayAskAgain ? known : nil
            }
            let id = VolumeStore.freshID()
            let node = Node(inode: Inode.file(id), name: name, content: .pending)
            node.state.withLock { $0.lookups = 1 }
            pendingNames.add(id, name)
            state.pending[name] = node
            state.nodes[node.inode] = node
            return node
        }
    }

    /// Turns an empty file into a volume exactly once, however many threads write to it first.
    /// - Parameter make: makes a volume with the number that it is given.
    func materialise(
        _ node: Node, _ make: (_ id: UInt64) throws(VolumeError) -> Volume
    ) throws(VolumeError) -> Volume {
        try state.withLock { state throws(VolumeError) in
            if case .volume(let volume) = node.content { return volume }
            let id = Inode.identifier(node.inode)
            let volume = try make(id)
            node.state.withLock { $0.content = .volume(volume) }
            state.pending[node.name] = nil
            pendingNames.remove(id)
            return volume
        }
    }

    func removePending(_ name: String) -> Bool {
        state.withLock { state in
            guard let node = state.pending.removeValue(forKey: name) else { return false }
            pendingNames.remove(Inode.identifier(node.inode))
            return true
        }
    }

    /// The emptied file of a volume that is no more.
    func returnToPending(_ node: Node) {
        state.withLock { state in
            node.state.withLock { $0.content = .pending }
            node.wasEmptied.store(true, ordering: .releasing)
            pendingNames.add(Inode.identifier(node.inode), node.name)
            state.pending[node.name] = node
        }
    }

    func forget(_ inode: UInt64, _ count: UInt64) {
        state.withLock { state in
            guard let node = state.nodes[inode] else { return }
            let isUnknown = node.state.withLock { node in
                // More than this process has shown: the kernel drops the file, so nobody has it open any more.
                if count > node.lookups, state.inherited.removeValue(forKey: inode) != nil { node.opens -= 1 }
                node.lookups -= min(count, node.lookups)
                return node.lookups == 0 && node.opens == 0
            }
            if isUnknown { state.nodes[inode] = nil }
        }
    }

    /// True when somebody has the file open.
    func isOpen(_ inode: UInt64) -> Bool {
        state.withLock { state in
            guard let node = state.nodes[inode] else { return false }
            return node.state.withLock { $0.opens > 0 }
        }
    }
}
