// SPDX-License-Identifier: Apache-2.0

public import Base
import Blocks
import ChunkStore
import Glibc
import Synchronization

extension Volume {
    /// Writes bytes through a transfer that moves them straight into the delta's data file, as splice does.
    ///
    /// When it returns, a killed daemon loses nothing of it; a power cut may, until `synchronize`.
    ///
    /// Errors: `.absent` when a block that is written in part has to be fetched first; then nothing was
    /// transferred, and the same write may be tried again.
    /// - Parameters:
    ///   - offset: first byte; the range must lie within the volume, which a write never extends.
    ///   - transfer: writes at most `count` bytes at the given offset of the descriptor and returns how many.
    /// - Returns: bytes written; fewer than `count` when the transfer was short.
    public func write(
        at offset: UInt64, count: Int,
        transfer: (_ descriptor: Int32, _ fileOffset: UInt64) throws(SystemError) -> Int
    ) throws(VolumeError) -> Int {
        if count == 0 { return 0 }
        let block = UInt64(Block.bytes)
        if offset % block == 0 && count % Block.bytes == 0 {
            return try gate.reading { () throws(VolumeError) -> Int in
                try checkWritable(offset, count)
                return try writeAligned(at: offset, count: count, transfer)
            }
        }
        return try gate.writing { () throws(VolumeError) -> Int in
            try checkWritable(offset, count)
            return try writeUnaligned(at: offset, count: count, transfer)
        }
    }

    /// Makes the range read as zeros and gives its space back.
    public func discard(offset: UInt64, count: UInt64) throws(VolumeError) {
        try zero(offset: offset, count: count)
    }

    /// Makes the range read as zeros.
    ///
    /// Whole blocks take no space afterwards. The part past the end is left out.
    ///
    /// Errors: as `write`; it may be tried again from the start.
    public func zero(offset: UInt64, count: UInt64) throws(VolumeError) {
        let block = UInt64(Block.bytes)
        let size = sizeBytes
        if offset >= size || count == 0 { return }
        let end = count > size - offset ? size : offset + count
        let first = (offset + block - 1) / block * block
        let last = end / block * block
        if first >= last {
            // No whole block: one piece within a block, or two that meet at a boundary.
            try writeZeros(offset, min(first, end))
            return try writeZeros(min(first, end), end)
        }
        try writeZeros(offset, first)
        try gate.reading { () throws(VolumeError) in
            let limit = min(last, sizeBytes)
            if first >= limit { return }
            try checkUsable()
            try layers.delta.zero(
                BlockRange(start: UInt32(first / block), count: UInt32((limit - first) / block)),
                below: layers.parent)
        }
        try writeZeros(last, end)
    }

    private func writeZeros(_ start: UInt64, _ end: UInt64) throws(VolumeError) {
        if start >= end { return }
        let zeros = [UInt8](repeating: 0, count: Int(end - start))
        _ = try write(at: start, count: zeros.count) { (descriptor, offset) throws(SystemError) in
            let written = retrying { pwrite(descriptor, zeros, zeros.count, off_t(offset)) }
            if written < 0 { throw SystemError.last("pwrite", name) }
            return written
        }
    }

    private func checkUsable() throws(VolumeError) {
        if let reason = layers.delta.brokenReason { throw .broken(name, reason: reason) }
    }

    private func checkWritable(_ offset: UInt64, _ count: Int) throws(VolumeError) {
        let size = sizeBytes
        if count < 0 || offset > size || UInt64(count) > size - offset {
            throw .invalidRange(name, reason: "a write of \(count) bytes at \(offset) leaves the volume")
        }
        try checkUsable()
    }

    private func writeAligned(
        at offset: UInt64, count: Int, _ transfer: (Int32, UInt64) throws(SystemError) -> Int
    ) throws(VolumeError) -> Int {
        let delta = layers.delta
        let descriptor = try delta.dataDescriptor()
        let moved = try run(transfer, delta, descriptor, at: offset, count: count)
        // A block that was filled in part still reads from below, or as it was before: it is not counted.
        let blocks = moved / Block.bytes
        if blocks == 0 { throw .system(SystemError(ENOSPC, "write", name)) }
        try delta.own(
            BlockRange(start: UInt32(offset / UInt64(Block.bytes)), count: UInt32(blocks)))
        return blocks * Block.bytes
    }

    /// Runs a transfer; what one that fails or stops short leaves behind in clean blocks is remembered.
    private func run(
        _ transfer: (Int32, UInt64) throws(SystemError) -> Int, _ delta: Delta, _ descriptor: Int32,
        at offset: UInt64, count: Int
    ) throws(VolumeError) -> Int {
        do throws(SystemError) {
            let moved = min(count, try transfer(descriptor, offset))
            if moved < count { delta.hasLeftovers.store(true, ordering: .releasing) }
            return moved
        } catch {
            delta.hasLeftovers.store(true, ordering: .releasing)
            throw .system(error)
        }
    }

    /// Fills the blocks at the edges from below first.
    ///
    /// Holds the gate exclusively, so nothing else writes them.
    private func writeUnaligned(
        at offset: UInt64, count: Int, _ transfer: (Int32, UInt64) throws(SystemError) -> Int
    ) throws(VolumeError) -> Int {
        let delta = layers.delta
        let descriptor = try delta.dataDescriptor()
        let blocks = ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes).blocks
        let head = offset % UInt64(Block.bytes) != 0
        let tail = (offset + UInt64(count)) % UInt64(Block.bytes) != 0
        if head { try fill(blocks.start, delta, descriptor) }
        if tail, !head || blocks.count > 1 { try fill(blocks.end - 1, delta, descriptor) }
        let moved = try run(transfer, delta, descriptor, at: offset, count: count)
        if moved <= 0 { throw .system(SystemError(ENOSPC, "write", name)) }
        let end = try whole(
            offset + UInt64(moved), isShort: moved < count, delta, descriptor,
            filled: head ? blocks.start : nil)
        if end <= offset { throw .system(SystemError(ENOSPC, "write", name)) }
        let touched = Block.count(forBytes: end)
        try delta.own(BlockRange(start: blocks.start, count: UInt32(touched) - blocks.start))
        return Int(end - offset)
    }

    /// Where a transfer that ended at `end` counts as ended.
    ///
    /// A short one may end inside a block that was not filled; that block is filled now, behind it. Where
    /// what it is filled with has to be fetched first, the block does not count: it reads as before.
    private func whole(
        _ end: UInt64, isShort: Bool, _ delta: Delta, _ descriptor: Int32, filled: UInt32?
    ) throws(VolumeError) -> UInt64 {
        let last = UInt32(end / UInt64(Block.bytes))
        let rest = end % UInt64(Block.bytes)
        if !isShort || rest == 0 || last == filled { return end }
        do throws(VolumeError) {
            try fill(last, delta, descriptor, from: Int(rest))
        } catch {
            guard case .absent = error else { throw error }
            return end - rest
        }
        return end
    }

    /// Copies a block of the parent into the data file, from the given byte on, unless the delta has it.
    private func fill(
        _ block: UInt32, _ delta: Delta, _ descriptor: Int32, from start: Int = 0
    )
        throws(VolumeError)
    {
        if delta.states.state(of: block) != .clean { return }
        let offset = UInt64(block) * UInt64(Block.bytes) + UInt64(start)
        let span = ByteSpan(offset: offset, count: Block.bytes - start, sizeBytes: sizeBytes)
        if layers.recorder != nil { noteTouches(span.blocks) }
        var scratch = SegmentScratch()
        let found = try withSegmentsInGate(span, &scratch) { view -> Found in
            if let absent = view.absentBlocks() { return .absent(absent) }
            return .bytes(Result { () throws(SystemError) in try Segments.read(view.segments) })
        }
        let result: Result<[UInt8], SystemError>
        switch found {
        case .absent(let blocks): throw .absent(name, blocks)
        case .bytes(let bytes): result = bytes
        }
        try catching { () throws(SystemError) in
            let bytes = try result.get()
            let written = retrying { pwrite(descriptor, bytes, bytes.count, off_t(offset)) }
            if written < 0 { throw SystemError.last("pwrite", name) }
            if written < bytes.count { throw SystemError(ENOSPC, "pwrite", name) }
        }
    }
}

/// What lies below a block that is written in part.
private enum Found {
    case bytes(Result<[UInt8], SystemError>)
    case absent(AbsentBlocks)
}

/// Runs system calls and turns their error into this module's.
func catching<T>(_ body: () throws(SystemError) -> T) throws(VolumeError) -> T {
    do throws(SystemError) { return try body() } catch { throw .system(error) }
}
