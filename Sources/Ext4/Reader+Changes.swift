// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// What a later state of a file system has changed, told by its blocks.
extension Reader {
    /// Whether inodes of the two have the same places, so that one may be a later state of the other.
    public func hasLayout(of other: Reader) -> Bool {
        inodesPerGroup == other.inodesPerGroup && inodeBytes == other.inodeBytes
            && information.uuid == other.information.uuid
            && inodeTables.starts(with: other.inodeTables.prefix(inodeTables.count))
    }

    /// Numbers of the inodes in use whose file is not what it was in an earlier state, in order.
    ///
    /// Read are those blocks of the inode tables alone that differ. A file whose bytes the kernel changed in
    /// place shows it by its change time; then its blocks are looked at.
    /// - Parameters:
    ///   - earlier: the state before, with the same layout.
    ///   - changed: the blocks that differ between the two.
    public func inodes(changedSince earlier: Reader, in changed: BlockSet) throws -> [UInt32] {
        precondition(hasLayout(of: earlier), "the states are of one file system")
        var numbers: [UInt32] = []
        let tableBlocks = UInt32((Int(inodesPerGroup) * inodeBytes + Block.bytes - 1) / Block.bytes)
        for (group, table) in inodeTables.enumerated() {
            guard UInt64(table) + UInt64(tableBlocks) <= UInt64(information.blockCount) else {
                throw Ext4Error.damaged("the inode table of group \(group) leaves the volume")
            }
            let first = UInt32(group) * inodesPerGroup + 1
            for range in changed.parts(of: BlockRange(start: table, count: tableBlocks)) {
                for block in range.start..<range.end {
                    let index = (block - table) * UInt32(Block.bytes / inodeBytes)
                    try compare(block, first + index, earlier, changed, &numbers)
                }
            }
        }
        return numbers
    }

    /// Compares one block of an inode table; `first` is the number of its first inode.
    private func compare(
        _ place: UInt32, _ first: UInt32, _ earlier: Reader, _ changed: BlockSet, _ numbers: inout [UInt32]
    ) throws {
        let after = try block(UInt64(place), "the inode table")
        let before =
            place < earlier.information.blockCount
            ? try earlier.block(UInt64(place), "the inode table") : [UInt8](zeros: Block.bytes)
        for index in 0..<Block.bytes / inodeBytes {
            let number = first + UInt32(index)
            let bytes = after[index * inodeBytes..<(index + 1) * inodeBytes]
            let old = before[index * inodeBytes..<(index + 1) * inodeBytes]
            guard number == Layout.rootInode || number >= Layout.firstInode, number <= information.inodeCount,
                !bytes.elementsEqual(old), Self.isInUse(Array(bytes))
            else { continue }
            let inode = try Inode(Array(bytes), number: number)
            if Self.isInUse(Array(old)), inode.describesSame(as: try Inode(Array(old), number: number)),
                try !uses(inode, changed)
            {
                continue
            }
            numbers.append(number)
        }
    }

    private static func isInUse(_ bytes: [UInt8]) -> Bool {
        bytes.get(UInt16.self, at: 0) != 0 && bytes.get(UInt16.self, at: 0x1A) != 0
    }

    private func uses(_ inode: Inode, _ changed: BlockSet) throws -> Bool {
        let layout = try layout(of: inode)
        return layout.runs.contains { changed.intersects(BlockRange(start: $0.start, count: $0.count)) }
            || layout.branches.contains { changed.intersects(BlockRange(start: $0, count: 1)) }
            || inode.attributeBlock != 0
                && inode.attributeBlock < UInt64(information.blockCount)
                && changed.intersects(BlockRange(start: UInt32(inode.attributeBlock), count: 1))
    }

    /// The directory that a directory lies in, as its own `..` says.
    public func parent(of directory: Inode) throws -> UInt32 {
        let damaged = Ext4Error.damaged("directory \(directory.number) does not start with . and ..")
        guard directory.kind == .directory, let run = try runs(of: directory).first, run.fileBlock == 0,
            run.isWritten
        else { throw damaged }
        let bytes = try block(UInt64(run.start), "directory \(directory.number)")
        guard bytes.get(UInt16.self, at: 4) == 12, bytes[18] == 2, bytes[20] == UInt8(ascii: "."),
            bytes[21] == UInt8(ascii: ".")
        else { throw damaged }
        return bytes.get(UInt32.self, at: 12)
    }
}

extension Inode {
    /// Whether another state of the inode is the same to who looks at the file, access and change time aside.
    func describesSame(as other: Inode) -> Bool {
        mode == other.mode && owner == other.owner && group == other.group && linkCount == other.linkCount
            && sizeBytes == other.sizeBytes && modified == other.modified && pointers == other.pointers
            && attributeBlock == other.attributeBlock && tail == other.tail
    }
}
