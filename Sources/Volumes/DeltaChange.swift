// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CLinux
import ChunkStore
import Glibc
import Synchronization

extension Delta {
    /// The data file, made now if this is the first change.
    func dataDescriptor() throws(VolumeError) -> Int32 {
        if let openDescriptor { return openDescriptor }
        return try files.withLock { (files) throws(VolumeError) in try makeFiles(&files).fd }
    }

    private func makeFiles(_ files: inout Files) throws(VolumeError) -> File {
        if let data = files.data { return data }
        if isEphemeral, files.isRemoved { return try makeUnnamedFile(&files) }
        if files.isRemoved { throw .broken("delta \(Self.hex(id))", reason: "it has been removed") }
        do throws(SystemError) {
            let data = try File(open: dataPath, O_RDWR | O_CREAT | O_EXCL)
            try data.truncate(to: UInt64(blockCount) * UInt64(Block.bytes))
            files.log = try DeltaLog.create(
                logPath,
                DeltaLogHeader(
                    delta: id, blockCount: blockCount, parentLimit: parentLimit, firstSequence: 1,
                    bootID: bootID))
            files.data = data
            publish(data)
            return data
        } catch {
            // The next change tries again from the start.
            unlink(dataPath)
            unlink(logPath)
            throw .system(error)
        }
    }

    /// Makes the files although nothing has changed.
    func touch() throws(VolumeError) {
        _ = try dataDescriptor()
        changes.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    /// Takes note that the blocks now lie in the data file; call it when their bytes are there.
    func own(_ range: BlockRange) throws(VolumeError) {
        // After the transfer and before the check: a flush that misses this count cannot have missed the
        // bytes.
        changes.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let first = states.run(from: range.start, to: range.end)
        if first.state == .data && first.end == range.end { return }
        try files.withLock { (files) throws(VolumeError) in
            try append(.data, [range], &files)
            states.set(range, to: .data)
        }
    }

    /// Makes the blocks read as zeros; those that do already are left alone.
    func zero(_ range: BlockRange, below: Snapshot?) throws(VolumeError) {
        var punched: [BlockRange] = []
        try files.withLock { (files) throws(VolumeError) in
            let ranges = try dataRanges(in: range, below: below)
            if ranges.isEmpty { return }
            _ = try makeFiles(&files)
            try append(.zero, ranges, &files)
            let everything = hasLeftovers.load(ordering: .acquiring)
            for part in ranges {
                punched += everything ? [part] : ownedRanges(in: part)
                states.set(part, to: .zero)
            }
        }
        changes.wrappingAdd(1, ordering: .sequentiallyConsistent)
        // Behind the record: a daemon killed here punches again when it recovers the delta.
        for part in punched { try punch(part) }
    }

    private func append(
        _ kind: DeltaLogRecord.Kind, _ ranges: [BlockRange], _ files: inout Files
    ) throws(VolumeError) {
        // Of one that was removed before its first change.
        if isEphemeral, files.log == nil { return }
        precondition(files.log != nil, "nothing changes a frozen delta")
        do throws(SystemError) {
            try compactUnflushed(&files)
            try files.log?.append(kind, ranges.map { (start: $0.start, count: $0.count) })
        } catch {
            throw .system(error)
        }
    }

    private func dataRanges(in range: BlockRange, below: Snapshot?) throws(VolumeError) -> [BlockRange] {
        var ranges: [BlockRange] = []
        var block = range.start
        while block < range.end {
            let start = try nextData(from: block, to: range.end, below: below)
            if start == range.end { break }
            block = try nextHole(from: start, to: range.end, below: below)
            ranges.append(BlockRange(start: start, count: block - start))
        }
        return ranges
    }

    private func ownedRanges(in range: BlockRange) -> [BlockRange] {
        var ranges: [BlockRange] = []
        var block = range.start
        while block < range.end {
            let run = states.ownedRun(from: block, to: range.end)
            if run.isOwned { ranges.append(BlockRange(start: block, count: run.end - block)) }
            block = run.end
        }
        return ranges
    }

    /// Gives blocks of the data file back; a file system that cannot do that gets zeros written instead.
    func punch(_ range: BlockRange) throws(VolumeError) {
        guard let data = files.withLock({ $0.data }) else { return }
        let offset = UInt64(range.start) * UInt64(Block.bytes)
        let count = UInt64(range.count) * UInt64(Block.bytes)
        do throws(SystemError) {
            do throws(SystemError) {
                try data.punchHole(at: offset, count: count)
            } catch {
                if error.code != EOPNOTSUPP { throw error }
                try writeZeros(data, offset, count)
            }
        } catch {
            throw .system(error)
        }
    }

    private func writeZeros(_ data: File, _ offset: UInt64, _ count: UInt64) throws(SystemError) {
        let zeros = [UInt8](repeating: 0, count: Int(min(count, 1 << 20)))
        var done: UInt64 = 0
        while done < count {
            let part = min(count - done, UInt64(zeros.count))
            try data.write(
                part == UInt64(zeros.count) ? zeros : Array(zeros.prefix(Int(part))), at: offset + done)
            done += part
        }
    }

    /// Changes the length; the caller keeps readers and writers away.
    func resize(to blockCount: UInt32) throws(VolumeError) {
        if let brokenReason { throw .broken("delta \(Self.hex(id))", reason: brokenReason) }
        let old = self.blockCount
        if blockCount == old { return }
        try files.withLock { (files) throws(VolumeError) in
            let data = try makeFiles(&files)
            do throws(SystemError) {
                // A longer file first: where the file system refuses the length, nothing has changed.
                if blockCount > old { try data.truncate(to: UInt64(blockCount) * UInt64(Block.bytes)) }
                try files.log?.append(.resize, [(start: blockCount, count: 0)])
                if blockCount < old { try data.truncate(to: UInt64(blockCount) * UInt64(Block.bytes)) }
            } catch {
                throw .system(error)
            }
            states.resize(from: old, to: blockCount)
            setLength(blockCount)
        }
        changes.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    /// Forgets the files; readers that still use them finish in peace.
    func removeFiles() throws(VolumeError) {
        try files.withLock { (files) throws(VolumeError) in
            files.isRemoved = true
            do throws(SystemError) {
                try Directories.removeFile(dataPath)
                try Directories.removeFile(logPath)
            } catch {
                throw .system(error)
            }
        }
    }

    /// Lets the log go; nothing is ever appended to a frozen delta.
    func freeze() {
        files.withLock { $0.log = nil }
    }
}
