// SPDX-License-Identifier: Apache-2.0

import Blocks

/// A run of a file's blocks that lie one after the other in the volume.
public struct FileRun: Equatable, Sendable {
    /// The first block in the file.
    public let fileBlock: UInt32
    /// The first block in the volume.
    public let start: UInt32
    public let count: UInt32
    /// Whether the blocks were written; those that were not read as zeros.
    public let isWritten: Bool
}

extension Reader {
    private static let maximumDepth = 5

    /// Where a file's or directory's blocks lie, in the order of the file; what no run covers is a hole.
    public func runs(of inode: Inode) throws -> [FileRun] {
        try layout(of: inode).runs
    }

    /// The runs, and the blocks of the extent tree itself.
    func layout(of inode: Inode) throws -> (runs: [FileRun], branches: [UInt32]) {
        switch inode.kind {
        case .file, .directory: break
        case .symlink where inode.hasTargetBlock: break
        default: return ([], [])
        }
        guard inode.flags & Layout.InodeFlag.extents != 0 else {
            if inode.sizeBytes == 0 { return ([], []) }
            throw Ext4Error.unsupportedFeature("indirect blocks, in inode \(inode.number)")
        }
        var result: (runs: [FileRun], branches: [UInt32]) = ([], [])
        try collect(inode.pointers, inode, depth: nil, into: &result)
        return result
    }

    private func collect(
        _ node: [UInt8], _ inode: Inode, depth: Int?, into result: inout (runs: [FileRun], branches: [UInt32])
    ) throws {
        let count = Int(node.get(UInt16.self, at: 2))
        let found = Int(node.get(UInt16.self, at: 6))
        guard node.get(UInt16.self, at: 0) == Layout.extentMagic, 12 + 12 * count <= node.count,
            count > 0 || depth == nil, found == depth ?? found, found <= Self.maximumDepth
        else { throw Ext4Error.damaged("the extent tree of inode \(inode.number)") }
        for index in 0..<count {
            let offset = 12 + 12 * index
            if found == 0 {
                result.runs.append(try run(node, offset, inode, after: result.runs.last))
                continue
            }
            let low = UInt64(node.get(UInt32.self, at: offset + 4))
            let place = low | UInt64(node.get(UInt16.self, at: offset + 8)) << 32
            let block = try block(place, "the extent tree of inode \(inode.number)")
            result.branches.append(UInt32(place))
            try collect(block, inode, depth: found - 1, into: &result)
        }
    }

    private func run(
        _ node: [UInt8], _ offset: Int, _ inode: Inode, after last: FileRun?
    ) throws(Ext4Error) -> FileRun {
        let length = UInt32(node.get(UInt16.self, at: offset + 4))
        let isWritten = length <= Layout.maximumExtentBlocks
        let count = isWritten ? length : length - Layout.maximumExtentBlocks
        let first = node.get(UInt32.self, at: offset)
        let start =
            UInt64(node.get(UInt32.self, at: offset + 8)) | UInt64(node.get(UInt16.self, at: offset + 6))
            << 32
        let end = last.map { UInt64($0.fileBlock) + UInt64($0.count) } ?? 0
        // Every branch holds a run, and runs are in order: so branches of a hostile tree cannot meet again.
        guard count > 0, UInt64(first) >= end, UInt64(first) + UInt64(count) <= UInt64(UInt32.max), start > 0,
            start + UInt64(count) <= UInt64(information.blockCount)
        else { throw .damaged("an extent of inode \(inode.number) is out of order or leaves the volume") }
        return FileRun(fileBlock: first, start: UInt32(start), count: count, isWritten: isWritten)
    }

    /// Reads part of a file; fewer bytes at its end.
    /// - Precondition: `count` is not negative.
    public func read(_ inode: Inode, at offset: UInt64, count: Int) throws -> [UInt8] {
        precondition(count >= 0, "a count is not negative")
        guard offset < inode.sizeBytes else { return [] }
        let end = offset + min(UInt64(count), inode.sizeBytes - offset)
        var result = [UInt8](zeros: Int(end - offset))
        for run in try runs(of: inode) where run.isWritten {
            for index in 0..<run.count {
                let place = UInt64(run.fileBlock + index) * UInt64(Block.bytes)
                if place + UInt64(Block.bytes) <= offset { continue }
                if place >= end { return result }
                let bytes = try block(UInt64(run.start + index), "inode \(inode.number)")
                let from = max(offset, place)
                let to = min(end, place + UInt64(Block.bytes))
                result.put(bytes[Int(from - place)..<Int(to - place)], at: Int(from - offset))
            }
        }
        return result
    }

    /// The target of a symbolic link.
    public func target(of inode: Inode) throws -> [UInt8] {
        guard inode.kind == .symlink, inode.sizeBytes > 0,
            inode.sizeBytes <= UInt64(FileTree.maximumTargetBytes)
        else {
            throw Ext4Error.damaged("inode \(inode.number) is not a symbolic link of 1 to 4095 bytes")
        }
        if inode.hasTargetBlock { return try read(inode, at: 0, count: Int(inode.sizeBytes)) }
        return Array(inode.pointers[..<Int(inode.sizeBytes)])
    }
}

extension Inode {
    /// Whether a link's target lies in a block of its own.
    var hasTargetBlock: Bool { sizeBytes >= 60 || flags & Layout.InodeFlag.extents != 0 }
}
