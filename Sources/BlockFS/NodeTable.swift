// SPDX-License-Identifier: Apache-2.0

import Base
import Synchronization
import Volumes

/// The files that the kernel knows, by inode number.
///
/// Not on the data path: reads and writes find their file through the handle.
final class NodeTable: Sendable {
    private struct State {
        var nodes: [UInt64: Node] = [:]
        /// Volumes that came from a file created here keep that file's number while the kernel knows it.
        var aliases: [UInt64: UInt64] = [:]
        /// Files in volumes/ that nothing was written to yet, by name; the store does not know them.
        var pending: [String: Node] = [:]
        var nextPending = Inode.firstPending
    }

    private let state = Lock(State())

    func node(_ inode: UInt64) throws(FileError) -> Node {
        guard let node = state.withLock({ $0.nodes[inode] }) else { throw .stale }
        return node
    }

    /// The node of an object of the store, counted as looked up once more.
    func lookUp(
        _ inode: UInt64, name: String, _ content: () throws(VolumeError) -> Content
    ) throws(VolumeError) -> Node {
        try state.withLock { state throws(VolumeError) in
            let number = state.aliases[inode] ?? inode
            let node: Node
            if let known = state.nodes[number] {
                node = known
            } else {
                node = Node(inode: number, name: name, content: try content())
                state.nodes[number] = node
            }
            node.state.withLock { $0.lookups += 1 }
            return node
        }
    }

    /// The number that `lookUp` would give.
    func number(_ inode: UInt64) -> UInt64 {
        state.withLock { $0.aliases[inode] ?? inode }
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

    var pendingNames: [String] { state.withLock { $0.pending.keys.sorted() } }

    /// A new empty file, looked up once; nil when there is one of that name.
    func createPending(_ name: String) -> Node? {
        state.withLock { state in
            if state.pending[name] != nil { return nil }
            let node = Node(inode: state.nextPending, name: name, content: .pending)
            state.nextPending += 1
            node.state.withLock { $0.lookups = 1 }
            state.pending[name] = node
            state.nodes[node.inode] = node
            return node
        }
    }

    /// Turns an empty file into a volume exactly once, however many threads write to it first.
    func materialise(
        _ node: Node, _ make: () throws(VolumeError) -> Volume
    ) throws(VolumeError) -> Volume {
        try state.withLock { state throws(VolumeError) in
            if case .volume(let volume) = node.content { return volume }
            let volume = try make()
            node.state.withLock { $0.content = .volume(volume) }
            state.pending[node.name] = nil
            state.aliases[Inode.file(volume.id)] = node.inode
            return volume
        }
    }

    func removePending(_ name: String) -> Bool {
        state.withLock { $0.pending.removeValue(forKey: name) != nil }
    }

    /// The emptied file of a volume that is no more.
    func returnToPending(_ node: Node) {
        state.withLock { state in
            node.state.withLock { $0.content = .pending }
            node.wasEmptied.store(true, ordering: .releasing)
            state.pending[node.name] = node
        }
    }

    func forget(_ inode: UInt64, _ count: UInt64) {
        state.withLock { state in
            guard let node = state.nodes[inode] else { return }
            let isUnknown = node.state.withLock { node in
                node.lookups -= min(count, node.lookups)
                return node.lookups == 0 && node.opens == 0
            }
            guard isUnknown else { return }
            state.nodes[inode] = nil
            if Inode.isPending(inode), let alias = state.aliases.first(where: { $0.value == inode }) {
                state.aliases[alias.key] = nil
            }
        }
    }

    /// True when somebody has the file open.
    func isOpen(_ inode: UInt64) -> Bool {
        state.withLock { state in
            guard let node = state.nodes[state.aliases[inode] ?? inode] else { return false }
            return node.state.withLock { $0.opens > 0 }
        }
    }
}
