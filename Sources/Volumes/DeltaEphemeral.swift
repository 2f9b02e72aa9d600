// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc

// An ephemeral delta has data file and log as any other, so that a daemon that takes over finds it again. But
// neither is flushed, and a start without such an inheritance removes them.

extension Delta {
    /// The data file of a delta that was removed before its first change: it never has a name, and the kernel
    /// frees it with its last user.
    ///
    /// A file system that has no such files gives it a name for a moment.
    func makeUnnamedFile(_ files: inout Files) throws(VolumeError) -> File {
        do throws(SystemError) {
            let data: File
            do throws(SystemError) {
                data = try File(unnamedIn: directory)
            } catch {
                if error.code != EOPNOTSUPP && error.code != EISDIR { throw error }
                data = try File(open: dataPath, O_RDWR | O_CREAT | O_TRUNC)
                try Directories.removeFile(dataPath)
            }
            try data.truncate(to: UInt64(blockCount) * UInt64(Block.bytes))
            files.data = data
            publish(data)
            return data
        } catch {
            throw .system(error)
        }
    }

    /// Makes the flushed data durable with its log and both names: a snapshot is read back like any other.
    ///
    /// The caller keeps writers away.
    func keep(_ name: String) throws(VolumeError) {
        try files.withLock { (files) throws(VolumeError) in
            guard let log = files.log else { return }
            do throws(SystemError) {
                // Flushes the log, and then the directory with both names.
                files.log = try writeCompactLog(firstSequence: log.sequence)
            } catch {
                throw .system(error)
            }
        }
    }

    /// Other logs are cut short after a flush; this one, which is never flushed, when it has grown.
    ///
    /// Called before a record is appended, so the states are what the log says.
    func compactUnflushed(_ files: inout Files) throws(SystemError) {
        guard isEphemeral, !files.isRemoved, let log = files.log, log.recordCount >= files.compactAtRecords
        else { return }
        files.log = try writeCompactLog(firstSequence: log.sequence)
        files.compactAtRecords = max(DeltaLimits.compactAtRecords, 2 * (files.log?.recordCount ?? 0))
    }
}

extension Volume {
    /// Writes back what is in memory, promising nothing: what is to be flushed later is less then.
    func writeBack() throws(VolumeError) {
        let delta = gate.reading { layers.delta }
        guard let data = delta.files.withLock({ $0.data }) else { return }
        try delta.flushing(name) { () throws(SystemError) in try data.synchronizeData() }
    }
}
