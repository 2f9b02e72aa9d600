// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc

/// The open log of one delta; guarded by the delta's lock.
struct DeltaLog {
    /// Zeros are written this far ahead, so that flushing a record changes no metadata of the file.
    private static let aheadBytes = 64 * 1024

    let file: File
    private let delta: UInt64
    private var endBytes: Int
    private var preparedBytes: Int
    private var nextSequence: UInt64
    /// Sequence number of the last record that is not a barrier; below the first one when there is none.
    private(set) var lastChange: UInt64
    /// What the last barrier that reached the disk vouches for.
    var vouched: UInt64
    /// Set when a record may have been written in part: appending after it would make the log unreadable.
    private var failure: SystemError?

    /// Starts a log file with its header; it is not durable yet.
    static func create(
        _ path: String, _ header: DeltaLogHeader, flags: Int32 = O_EXCL
    ) throws(SystemError) -> DeltaLog {
        let file = try File(open: path, O_RDWR | O_CREAT | flags)
        try file.write(header.encode() + [UInt8](repeating: 0, count: aheadBytes), at: 0)
        return DeltaLog(
            file: file, delta: header.delta, endBytes: DeltaLogHeader.byteCount,
            preparedBytes: DeltaLogHeader.byteCount + aheadBytes, nextSequence: header.firstSequence,
            lastChange: header.firstSequence &- 1, vouched: header.firstSequence &- 1)
    }

    /// Continues a log that was read back on the same boot.
    init(continuing file: File, _ header: DeltaLogHeader, _ replay: DeltaLogReplay) throws(SystemError) {
        self.init(
            file: file, delta: header.delta, endBytes: replay.endBytes,
            preparedBytes: Int(try file.size()), nextSequence: replay.nextSequence,
            lastChange: replay.believed.last?.sequence ?? replay.vouched, vouched: replay.vouched)
    }

    private init(
        file: File, delta: UInt64, endBytes: Int, preparedBytes: Int, nextSequence: UInt64,
        lastChange: UInt64,
        vouched: UInt64
    ) {
        self.file = file
        self.delta = delta
        self.endBytes = endBytes
        self.preparedBytes = preparedBytes
        self.nextSequence = nextSequence
        self.lastChange = lastChange
        self.vouched = vouched
    }

    /// The sequence number that the next record gets.
    var sequence: UInt64 { nextSequence }
    var recordCount: Int { (endBytes - DeltaLogHeader.byteCount) / DeltaLogRecord.byteCount }

    /// Appends records; all of them are in the page cache when it returns, none of them counts when it
    /// throws.
    mutating func append(
        _ kind: DeltaLogRecord.Kind, _ ranges: [(start: UInt32, count: UInt32)]
    ) throws(SystemError) {
        let count = ranges.count * DeltaLogRecord.byteCount
        var sequence = nextSequence
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for range in ranges {
                let record = DeltaLogRecord(
                    kind: kind, start: range.start, count: range.count, sequence: sequence)
                let rest = UnsafeMutableBufferPointer(rebasing: buffer[filled...])
                record.encode(into: UnsafeMutableRawBufferPointer(rest), delta: delta)
                filled += DeltaLogRecord.byteCount
                sequence &+= 1
            }
        }
        try write(bytes, next: sequence)
        if kind != .barrier { lastChange = sequence &- 1 }
    }

    mutating func appendBarrier(through: UInt64) throws(SystemError) {
        let barrier = DeltaLogRecord.barrier(through: through, sequence: nextSequence)
        try write(barrier.encode(delta: delta), next: nextSequence &+ 1)
    }

    private mutating func write(_ bytes: [UInt8], next: UInt64) throws(SystemError) {
        if let failure { throw failure }
        if endBytes + bytes.count > preparedBytes {
            // A full disk shows here, before any record has been touched.
            let zeros = [UInt8](repeating: 0, count: bytes.count + Self.aheadBytes)
            try file.write(zeros, at: UInt64(preparedBytes))
            preparedBytes += zeros.count
        }
        do throws(SystemError) {
            try file.write(bytes, at: UInt64(endBytes))
        } catch {
            failure = error
            throw error
        }
        endBytes += bytes.count
        nextSequence = next
    }
}
