// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Synchronization

extension Delta {
    /// Makes every change that has returned survive a power cut.
    ///
    /// One flush when only owned blocks were written again, two when blocks became owned or zero, none when
    /// nothing happened.
    ///
    /// - Parameter name: the volume's, for errors.
    func synchronize(_ name: String, _ catalog: Catalog) throws(VolumeError) {
        if let brokenReason { throw .broken(name, reason: brokenReason) }
        let wanted = changes.load(ordering: .sequentiallyConsistent)
        guard try becomeLeader(name, wanted) else { return }
        var failure: VolumeError?
        let covered = changes.load(ordering: .sequentiallyConsistent)
        do throws(VolumeError) {
            try flush(name, catalog)
        } catch {
            failure = error
        }
        flushing.withLock { state in
            state.isRunning = false
            if case .flushFailed(_, let reason) = failure { state.failure = reason }
            if failure == nil { state.flushed = covered }
        }
        if let failure { throw failure }
    }

    /// Waits for the flush that is under way.
    ///
    /// True when the caller has to flush itself, false when its changes are on disk: so one flush serves all
    /// who came while the one before it ran.
    private func becomeLeader(_ name: String, _ wanted: UInt64) throws(VolumeError) -> Bool {
        enum Outcome { case lead, done, failed(String) }
        let outcome = flushing.wait { state -> Outcome? in
            if let failure = state.failure { return .failed(failure) }
            if state.isRowDurable && state.flushed >= wanted { return .done }
            if state.isRunning { return nil }
            state.isRunning = true
            return .lead
        }
        switch outcome {
        case .lead: return true
        case .done: return false
        case .failed(let reason): throw .flushFailed(name, reason: reason)
        }
    }

    private func flush(_ name: String, _ catalog: Catalog) throws(VolumeError) {
        // Records up to here speak of bytes that were in the data file before its flush begins.
        let (data, through, vouched) = files.withLock {
            ($0.data, $0.log?.lastChange ?? 0, $0.log?.vouched ?? 0)
        }
        if let data {
            try flushing(name) { () throws(SystemError) in try data.synchronizeData() }
            if isEphemeral { return try keep(name) }
            if through != vouched { try writeBarrier(name, through) }
        }
        try makeNamesDurable(hasFiles: data != nil, catalog)
    }

    private func writeBarrier(_ name: String, _ through: UInt64) throws(VolumeError) {
        let file = try files.withLock { (files) throws(VolumeError) -> File? in
            // A full disk at this point has lost nothing; the caller may try again.
            do throws(SystemError) { try files.log?.appendBarrier(through: through) } catch {
                throw .system(error)
            }
            return files.log?.file
        }
        guard let file else { return }
        try flushing(name) { () throws(SystemError) in try file.synchronizeData() }
        let mustCompact = files.withLock { files in
            files.log?.vouched = through
            return files.log.map { $0.recordCount >= files.compactAtRecords } ?? false
        }
        if mustCompact { try compact(name) }
    }

    /// Runs a flush; a failure of it is final.
    func flushing(_ name: String, _ body: () throws(SystemError) -> Void) throws(VolumeError) {
        do throws(SystemError) { try body() } catch { throw .flushFailed(name, reason: "\(error)") }
    }

    /// A clone is a row in the catalog's write-ahead log that nobody has flushed, and its files' names are in
    /// a directory that nobody has flushed: the first acknowledged flush of the volume makes both durable.
    private func makeNamesDurable(hasFiles: Bool, _ catalog: Catalog) throws(VolumeError) {
        let (row, names) = flushing.withLock { ($0.isRowDurable, $0.areNamesDurable) }
        if hasFiles && !names {
            do throws(SystemError) { try Directories.synchronize(directory) } catch { throw .system(error) }
            try catalog.markFilesDurable(delta: id)
        } else if row {
            return
        }
        try catalog.flush()
        flushing.withLock {
            $0.isRowDurable = true
            if hasFiles { $0.areNamesDurable = true }
        }
    }

    /// Writes the log anew in its shortest form; changes of state wait meanwhile.
    private func compact(_ name: String) throws(VolumeError) {
        try files.withLock { (files) throws(VolumeError) in
            guard let data = files.data, let log = files.log else { return }
            try flushing(name) { () throws(SystemError) in try data.synchronizeData() }
            do throws(SystemError) {
                files.log = try writeCompactLog(firstSequence: log.sequence)
            } catch {
                throw .system(error)
            }
            files.compactAtRecords = max(
                DeltaLimits.compactAtRecords, 2 * (files.log?.recordCount ?? 0))
        }
    }

    /// Writes the states as a new log in the place of the old one.
    ///
    /// The data file must have been flushed.
    func writeCompactLog(firstSequence: UInt64) throws(SystemError) -> DeltaLog {
        let temporary = logPath + ".new"
        let header = DeltaLogHeader(
            delta: id, blockCount: blockCount, parentLimit: parentLimit, firstSequence: firstSequence,
            bootID: bootID)
        var log = try DeltaLog.create(temporary, header, flags: O_TRUNC)
        var runs: [DeltaLogRecord.Kind: [(start: UInt32, count: UInt32)]] = [:]
        var block: UInt32 = 0
        while block < blockCount {
            let run = states.run(from: block, to: blockCount)
            if run.state != .clean {
                runs[run.state == .data ? .data : .zero, default: []].append((block, run.end - block))
            }
            block = run.end
        }
        for (kind, ranges) in runs.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            try log.append(kind, ranges)
        }
        let through = log.lastChange
        try log.appendBarrier(through: through)
        try log.file.synchronizeData()
        if rename(temporary, logPath) < 0 { throw SystemError.last("rename", temporary) }
        try Directories.synchronize(directory)
        log.vouched = through
        return log
    }
}
