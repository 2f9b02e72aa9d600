// SPDX-License-Identifier: Apache-2.0

import Blocks

/// What a log found on disk says, after a restart of the daemon or of the machine.
struct DeltaLogReplay {
    /// The records to believe, in order; barriers are left out.
    private(set) var believed: [DeltaLogRecord] = []
    /// Sequence number for the next record.
    private(set) var nextSequence: UInt64
    /// Where the next record goes.
    private(set) var endBytes = DeltaLogHeader.byteCount
    /// The last sequence number that a barrier vouches for; one less than the first when there is none.
    private(set) var vouched: UInt64

    /// Some record, believed or not, changes the length.
    private(set) var hasResize = false

    /// Reads the records that follow the header.
    ///
    /// On the same boot nothing that was written can be missing, so everything counts and anything behind a
    /// damaged record is a sign of damage. After a power cut any page that no flush covered may have any
    /// earlier content: records count up to what the last barrier vouches for.
    init(_ bytes: [UInt8], header: DeltaLogHeader, sameBoot: Bool) throws(DamagedLog) {
        nextSequence = header.firstSequence
        vouched = header.firstSequence &- 1
        var records: [DeltaLogRecord] = []
        while let record = DeltaLogRecord(bytes, at: endBytes, delta: header.delta),
            record.sequence == nextSequence
        {
            records.append(record)
            if record.kind == .barrier {
                if record.through >= record.sequence { throw DamagedLog("vouches for records that follow") }
                vouched = record.through
            }
            hasResize = hasResize || record.kind == .resize
            nextSequence &+= 1
            endBytes += DeltaLogRecord.byteCount
        }
        if sameBoot, bytes[min(endBytes, bytes.count)...].contains(where: { $0 != 0 }) {
            throw DamagedLog("is damaged at byte \(endBytes)")
        }
        let barriers = Self.scan(bytes, from: endBytes, header, after: nextSequence)
        // A barrier is written once the flush of the one before it has succeeded. Two of them behind a gap
        // mean that the gap had been on disk: no power cut makes one there.
        if barriers >= 2 { throw DamagedLog("is damaged at byte \(endBytes)") }
        believed = records.filter { $0.kind != .barrier && (sameBoot || $0.sequence <= vouched) }
    }

    /// Counts intact barriers behind the first place that holds no intact next record.
    private static func scan(
        _ bytes: [UInt8], from start: Int, _ header: DeltaLogHeader, after sequence: UInt64
    ) -> Int {
        var barriers = 0
        for offset in stride(from: start, to: bytes.count, by: DeltaLogRecord.byteCount) {
            guard let record = DeltaLogRecord(bytes, at: offset, delta: header.delta) else { continue }
            if record.kind == .barrier, record.sequence >= sequence { barriers += 1 }
        }
        return barriers
    }
}
