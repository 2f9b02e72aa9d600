// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Which file a block of a volume belongs to.
public struct BlockOwners: Sendable {
    private struct Owned {
        let range: BlockRange
        let path: UInt32
    }

    private var owned: [Owned] = []
    private var paths: [[UInt8]] = []

    /// Walks the whole tree; a file with several names is known by the first.
    public init(_ reader: Reader) throws {
        var seen: Set<UInt32> = []
        var owned: [Owned] = []
        var paths: [[UInt8]] = []
        try reader.walk { path, inode in
            guard seen.insert(inode.number).inserted else { return }
            let layout = try reader.layout(of: inode)
            let index = UInt32(paths.count)
            paths.append(path)
            for run in layout.runs {
                owned.append(Owned(range: BlockRange(start: run.start, count: run.count), path: index))
            }
            for block in layout.branches {
                owned.append(Owned(range: BlockRange(start: block, count: 1), path: index))
            }
            if inode.attributeBlock != 0, inode.attributeBlock < UInt64(reader.information.blockCount) {
                let range = BlockRange(start: UInt32(inode.attributeBlock), count: 1)
                owned.append(Owned(range: range, path: index))
            }
        }
        self.owned = owned.sorted { $0.range.start < $1.range.start }
        self.paths = paths
    }

    /// The path of the file, without a leading slash; nil for free blocks and for the file system's own.
    public func path(of block: UInt32) -> [UInt8]? {
        var low = 0
        var high = owned.count
        while low < high {
            let middle = (low + high) / 2
            if owned[middle].range.end > block { high = middle } else { low = middle + 1 }
        }
        guard low < owned.count, owned[low].range.start <= block else { return nil }
        return paths[Int(owned[low].path)]
    }
}
