// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc

// Nothing of an ephemeral delta is ever read back: its volume goes at the next start. So it takes no flush,
// no log and no name; the kernel frees the file with the process, however that ends.

extension Delta {
    /// The data file without a name; a file system that has no such files gives it one.
    func makeUnnamedFile(_ files: inout Files) throws(VolumeError) -> File {
        do throws(SystemError) {
            let data: File
            do throws(SystemError) {
                data = try File(unnamedIn: directory)
                files.isNamed = false
            } catch {
                if error.code != EOPNOTSUPP && error.code != EISDIR { throw error }
                data = try File(open: dataPath, O_RDWR | O_CREAT | O_TRUNC)
                // Removed already, and written by what is still to end.
                if files.isRemoved { try Directories.removeFile(dataPath) }
            }
            try data.truncate(to: UInt64(blockCount) * UInt64(Block.bytes))
            files.data = data
            publish(data)
            return data
        } catch {
            throw .system(error)
        }
    }

    /// Gives the flushed data a name and a log, both durable: a snapshot is read back like any other.
    ///
    /// The caller keeps writers away.
    func keep(_ name: String, _ data: File) throws(VolumeError) {
        try files.withLock { (files) throws(VolumeError) in
            do throws(SystemError) {
                if !files.isNamed { try data.link(as: dataPath) }
                files.isNamed = true
                // Flushes the log, and then the directory with both names.
                _ = try writeCompactLog(firstSequence: 1)
            } catch {
                throw .system(error)
            }
        }
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
