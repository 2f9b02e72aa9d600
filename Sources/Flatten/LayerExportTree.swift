// SPDX-License-Identifier: Apache-2.0

public import Blocks
public import Ext4

/// One file system that a layer is made from: its files, and which chunks its blocks lie in.
public struct ExportTree {
    /// For error texts.
    let name: String
    /// nil where no chunks are known; then equal bytes are found by reading them.
    let map: BlockMap?
    private let reader: Reader
    private let blocks: CachedBlocks

    /// Reads the superblock.
    ///
    /// A journal that must be replayed first is refused: a snapshot of a mounted volume has none, since the
    /// kernel empties it when the file system is frozen; one of a machine that died may.
    /// - Parameter map: of exactly these blocks.
    public init(_ name: String, blocks: any BlockReader, map: BlockMap? = nil) throws(FlattenError) {
        self.name = name
        self.map = map
        self.blocks = CachedBlocks(blocks)
        do { reader = try Reader(self.blocks) } catch {
            throw .tree(name, reason: "\(error)")
        }
    }

    /// Runs a read and names the tree in its errors.
    func read<T>(_ body: (Reader) throws -> T) throws(FlattenError) -> T {
        do { return try body(reader) } catch let error as FlattenError { throw error } catch {
            throw .tree(name, reason: "\(error)")
        }
    }

    /// Bytes of consecutive blocks, past the cache.
    func bytes(of range: BlockRange) throws(FlattenError) -> [UInt8] {
        let bytes: [UInt8]
        do { bytes = try blocks.read(blocks: range) } catch { throw .tree(name, reason: "\(error)") }
        if bytes.count != Int(range.count) * Block.bytes {
            throw .tree(name, reason: "blocks \(range) have \(bytes.count) bytes")
        }
        return bytes
    }

    func inode(_ number: UInt32) throws(FlattenError) -> Inode {
        try read { try $0.inode(number) }
    }

    /// The attributes that a layer holds.
    func xattrs(of inode: Inode) throws(FlattenError) -> [Xattr] {
        try read { try $0.xattrs(of: inode) }.filter { !$0.name.starts(with: Self.overlayPrefix) }
    }

    /// What overlay file systems keep for themselves means nothing in an image, and is refused on import.
    private static let overlayPrefix = Array("trusted.overlay.".utf8)
}

/// Whether files of two trees hold the same bytes, told by their chunks and only then by reading.
struct ContentComparison {
    let top: ExportTree
    let base: ExportTree
    /// Blocks that differ, where one tree is a later state of the other.
    let changed: BlockSet?

    /// The lengths are equal already.
    func isSame(_ file: Inode, _ old: Inode) throws(FlattenError) -> Bool {
        var here = RunCursor(try top.read { try $0.runs(of: file) })
        var there = RunCursor(try base.read { try $0.runs(of: old) })
        let count = Block.count(forBytes: file.sizeBytes)
        var block: UInt64 = 0
        while block < count {
            let mine = here.piece(at: block)
            let other = there.piece(at: block)
            let end = min(mine.end, other.end, count)
            for index in 0..<UInt32(end - block) {
                let tail = block + UInt64(index) == count - 1 ? Int(file.sizeBytes % UInt64(Block.bytes)) : 0
                let byteCount = tail == 0 ? Block.bytes : tail
                if try !isSame(mine.start.map { $0 + index }, other.start.map { $0 + index }, byteCount) {
                    return false
                }
            }
            block = end
        }
        return true
    }

    /// Compares two blocks; nil is a hole.
    private func isSame(_ mine: UInt32?, _ other: UInt32?, _ byteCount: Int) throws(FlattenError) -> Bool {
        if mine == nil && other == nil { return true }
        if let changed, let mine, mine == other, !changed.intersects(BlockRange(start: mine, count: 1)) {
            return true
        }
        if let here = top.map, let there = base.map {
            let left = mine.flatMap { here.chunk(at: $0) }
            let right = other.flatMap { there.chunk(at: $0) }
            if left?.chunk == right?.chunk, left?.offset == right?.offset { return true }
        }
        let left = try mine.map { block throws(FlattenError) in try bytes(top, block) }
        let right = try other.map { block throws(FlattenError) in try bytes(base, block) }
        let zeros = [UInt8](repeating: 0, count: left == nil || right == nil ? byteCount : 0)
        return (left ?? zeros).prefix(byteCount) == (right ?? zeros).prefix(byteCount)
    }

    private func bytes(_ tree: ExportTree, _ block: UInt32) throws(FlattenError) -> [UInt8] {
        try tree.bytes(of: BlockRange(start: block, count: 1))
    }
}

/// Goes through the blocks of a file in order.
struct RunCursor {
    private let runs: [FileRun]
    private var index = 0

    init(_ runs: [FileRun]) { self.runs = runs }

    /// Where a block of the file lies in the volume, nil in a hole, and the first block of the file for which
    /// that no longer goes on; blocks are asked for in ascending order.
    mutating func piece(at block: UInt64) -> (start: UInt32?, end: UInt64) {
        while index < runs.count, UInt64(runs[index].fileBlock) + UInt64(runs[index].count) <= block {
            index += 1
        }
        guard index < runs.count else { return (nil, .max) }
        let run = runs[index]
        if UInt64(run.fileBlock) > block { return (nil, UInt64(run.fileBlock)) }
        let end = UInt64(run.fileBlock) + UInt64(run.count)
        return (run.isWritten ? run.start + UInt32(block - UInt64(run.fileBlock)) : nil, end)
    }
}
