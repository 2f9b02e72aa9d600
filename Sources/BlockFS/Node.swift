// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import Glibc
import Synchronization
import Volumes

/// Inode numbers of the three directories; files come after them.
enum Inode {
    static let root: UInt64 = 1
    static let snapshots: UInt64 = 2
    static let volumes: UInt64 = 3
    /// Files have this bit.
    ///
    /// The store's identifiers have 63 bits, images' and volumes' differ, and none is used again: a number
    /// always means the same content, also to a daemon that takes over. A new file that nothing was written to
    /// yet has the identifier that its volume will have.
    private static let stored: UInt64 = 1 << 63

    static func file(_ identifier: UInt64) -> UInt64 { stored | identifier }
    /// The identifier of a file's number.
    static func identifier(_ inode: UInt64) -> UInt64 { inode & ~stored }
}

/// What a file is made of.
enum Content {
    case snapshot(Snapshot)
    case volume(Volume)
    /// Created and still empty: it becomes a volume with the first write, or a clone with the first whole
    /// copy.
    case pending
    /// Removed from the store since the kernel has looked it up.
    case gone
}

/// How far a copy of one file onto a new one has been acknowledged, after it was done at once as a clone.
struct CopyProgress {
    let source: UInt64
    let sizeBytes: UInt64
    var nextOffset: UInt64
}

/// A file that the kernel knows.
final class Node: Sendable {
    struct State {
        // The kernel may remember a file for as long as it likes. That must not keep what was removed, and the
        // space that it takes: only an open file does.
        private weak var snapshot: Snapshot?
        private weak var volume: Volume?
        private var isPending = false
        /// Made before this process began to serve: the one who made it may ask once more.
        var isInherited = false
        /// Lookups that the kernel has not forgotten yet.
        var lookups: UInt64 = 0
        var opens = 0
        var copy: CopyProgress?

        init(_ content: Content) {
            self.content = content
        }

        var content: Content {
            get {
                if isPending { return .pending }
                if let snapshot { return .snapshot(snapshot) }
                if let volume { return .volume(volume) }
                return .gone
            }
            set {
                (snapshot, volume, isPending) = (nil, nil, false)
                switch newValue {
                case .snapshot(let new): snapshot = new
                case .volume(let new): volume = new
                case .pending: isPending = true
                case .gone: break
                }
            }
        }
    }

    let inode: UInt64
    /// The name in the store.
    let name: String
    let state: Lock<State>
    /// A copy is being acknowledged: a write must end that first.
    ///
    /// Read on every write, hence outside the lock.
    let isCopying = Atomic<Bool>(false)
    /// The file was emptied: handles from before must not use the volume that they found when they were
    /// opened.
    let wasEmptied = Atomic<Bool>(false)
    /// Bytes that were read and written since the kernel has known the file.
    let readBytes = Atomic<UInt64>(0)
    let writtenBytes = Atomic<UInt64>(0)
    /// Held while a write makes the file longer.
    let growth = Lock(())

    init(inode: UInt64, name: String, content: Content) {
        self.inode = inode
        self.name = name
        state = Lock(State(content))
    }

    var content: Content { state.withLock { $0.content } }

    var sizeBytes: UInt64 {
        switch content {
        case .snapshot(let snapshot): snapshot.sizeBytes
        case .volume(let volume): volume.sizeBytes
        case .pending, .gone: 0
        }
    }

    /// What stat(2) shows.
    ///
    /// Blocks are as if nothing were a hole, so that `cp` asks for one copy of the whole file instead of
    /// looking for holes.
    var attributes: stat {
        var info = stat()
        info.st_ino = UInt(inode)
        info.st_nlink = 1
        info.st_blksize = 1 << 20
        let size = sizeBytes
        info.st_size = off_t(size)
        info.st_blocks = Int(size / 512)
        if case .snapshot = content { info.st_mode = S_IFREG | 0o400 } else { info.st_mode = S_IFREG | 0o600 }
        return info
    }

    static func directoryAttributes(_ inode: UInt64) -> stat {
        var info = stat()
        info.st_ino = UInt(inode)
        info.st_nlink = inode == Inode.root ? 4 : 2
        info.st_mode = S_IFDIR | 0o700
        return info
    }

    /// Whatever copy was being acknowledged is over: the file differs from its source from now on.
    func endCopy() {
        if !isCopying.load(ordering: .acquiring) { return }
        state.withLock { $0.copy = nil }
        isCopying.store(false, ordering: .releasing)
    }
}

/// One open file; the kernel holds a reference to it as its file handle.
final class OpenFile: Sendable {
    let node: Node
    let snapshot: Snapshot?
    /// Nil for a snapshot, and for a file that was opened while it was still empty.
    private let openedVolume: Volume?

    convenience init(_ node: Node) throws(FileError) {
        try self.init(node, node.content)
    }

    /// - Parameter content: the node's, held by the caller.
    init(_ node: Node, _ content: Content) throws(FileError) {
        self.node = node
        switch content {
        case .snapshot(let snapshot): (self.snapshot, openedVolume) = (snapshot, nil)
        case .volume(let volume): (snapshot, openedVolume) = (nil, volume)
        case .pending: (snapshot, openedVolume) = (nil, nil)
        case .gone: throw .stale
        }
    }

    /// The volume, if the file is one by now.
    var volume: Volume? {
        if let openedVolume, !node.wasEmptied.load(ordering: .acquiring) { return openedVolume }
        if case .volume(let volume) = node.content { return volume }
        return nil
    }
}
