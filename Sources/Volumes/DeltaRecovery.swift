// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CLinux
import Glibc

extension Delta {
    /// Reads a delta back after a restart.
    ///
    /// Never throws: what cannot be believed gives a broken delta.
    ///
    /// - Parameters:
    ///   - blockCount: the catalog's length, for a delta without files.
    ///   - mustExist: the catalog says that its files had reached the disk.
    static func recover(
        id: UInt64, directory: String, bootID: BootID, blockCount: UInt32, mustExist: Bool,
        isEphemeral: Bool = false
    ) -> Delta {
        var recovery = DeltaRecovery(
            id: id, directory: directory, bootID: bootID, mustExist: mustExist, isEphemeral: isEphemeral)
        do {
            if let delta = try recovery.run() { return delta }
            return Delta(
                id: id, directory: directory, bootID: bootID, blockCount: blockCount, isRowDurable: true,
                isEphemeral: isEphemeral)
        } catch {
            let reason = (error as? DamagedLog).map { "its log \($0.reason)" } ?? "\(error)"
            return Delta(
                id: id, directory: directory, bootID: bootID, blockCount: blockCount, parentLimit: .max,
                states: BlockStates(blockCount: blockCount), files: Files(), mayBeUnflushed: false,
                areNamesDurable: true, isEphemeral: isEphemeral, brokenReason: reason)
        }
    }
}

/// One recovery: reads the log, rebuilds the states, and brings the data file in line with them.
private struct DeltaRecovery {
    let id: UInt64
    let directory: String
    let bootID: BootID
    let mustExist: Bool
    let isEphemeral: Bool

    private var blockCount: UInt32 = 0
    private var parentLimit: UInt32 = 0

    init(id: UInt64, directory: String, bootID: BootID, mustExist: Bool, isEphemeral: Bool) {
        self.id = id
        self.directory = directory
        self.bootID = bootID
        self.mustExist = mustExist
        self.isEphemeral = isEphemeral
    }

    /// The delta; nil when it has no files, or none that ever counted.
    mutating func run() throws -> Delta? {
        let logPath = Delta.logPath(directory, id)
        let dataPath = Delta.dataPath(directory, id)
        if !Directories.exists(logPath) {
            if mustExist { throw DamagedLog("is missing") }
            try Directories.removeFile(dataPath)
            return nil
        }
        let logFile = try File(open: logPath, O_RDWR)
        let size = try logFile.size()
        if size > Self.maximumLogBytes { throw DamagedLog("has \(size) bytes, more than any log can have") }
        let bytes = try logFile.read(count: Int(size), at: 0)
        // The header lies within one sector: it was written, or it was not.
        if !mustExist, bytes.prefix(DeltaLogHeader.byteCount).allSatisfy({ $0 == 0 }) {
            try Directories.removeFile(dataPath)
            try Directories.removeFile(logPath)
            return nil
        }
        let header = try DeltaLogHeader.decode(bytes, delta: id).get()
        let replay = try DeltaLogReplay(bytes, header: header, sameBoot: header.bootID == bootID)
        let states = try rebuild(header, replay)
        if !Directories.exists(dataPath), mustExist || states.ownedCount > 0 {
            throw DamagedLog("is there but its data file is missing")
        }
        let data = try File(open: dataPath, O_RDWR | O_CREAT)
        try fitLength(of: data, replay, states)
        try scrub(data, states)
        return try finish(data, logFile, header, replay, states)
    }

    /// 2^24 records: far above the size at which a log is compacted.
    private static let maximumLogBytes: UInt64 = 512 << 20

    private mutating func rebuild(
        _ header: DeltaLogHeader, _ replay: DeltaLogReplay
    ) throws(DamagedLog) -> BlockStates {
        blockCount = header.blockCount
        parentLimit = header.parentLimit
        if blockCount == 0 || blockCount == .max {
            throw DamagedLog("gives a length of \(blockCount) blocks")
        }
        let states = BlockStates(blockCount: blockCount)
        for record in replay.believed {
            switch record.kind {
            case .barrier: break
            case .resize:
                if record.start == 0 || record.start == .max {
                    throw DamagedLog("gives a length of \(record.start) blocks")
                }
                states.resize(from: blockCount, to: record.start)
                blockCount = record.start
                parentLimit = min(parentLimit, record.start)
            case .data, .zero:
                if record.count == 0 || UInt64(record.start) + UInt64(record.count) > UInt64(blockCount) {
                    throw DamagedLog("names blocks outside of the volume")
                }
                states.set(
                    BlockRange(start: record.start, count: record.count),
                    to: record.kind == .data ? .data : .zero)
            }
        }
        return states
    }

    private func fitLength(of data: File, _ replay: DeltaLogReplay, _ states: BlockStates) throws {
        let wanted = UInt64(blockCount) * UInt64(Block.bytes)
        let size = try data.size()
        // A resize that did not count may have cut the file already; otherwise nothing of ours shortens it.
        if size < wanted, states.ownedCount > 0, !replay.hasResize {
            throw DamagedLog("is whole but its data file has been cut short")
        }
        if size != wanted { try data.truncate(to: wanted) }
    }

    /// Punches whatever the data file holds in blocks that are not in the state `data`: zero blocks must be
    /// holes, and clean ones only waste space.
    private func scrub(_ data: File, _ states: BlockStates) throws {
        var offset: off_t = 0
        while true {
            let start = lseek(data.fd, offset, Int32(SLK_SEEK_DATA))
            if start < 0 {
                if errno == ENXIO { return }
                throw SystemError.last("lseek", data.path)
            }
            let end = lseek(data.fd, start, Int32(SLK_SEEK_HOLE))
            if end < 0 { throw SystemError.last("lseek", data.path) }
            var block = UInt32(clamping: Int(start) / Block.bytes)
            let limit = min(blockCount, UInt32(clamping: Block.count(forBytes: UInt64(end))))
            while block < limit {
                let run = states.run(from: block, to: limit)
                if run.state != .data {
                    try data.punchHole(
                        at: UInt64(block) * UInt64(Block.bytes),
                        count: UInt64(run.end - block) * UInt64(Block.bytes))
                }
                block = run.end
            }
            offset = end
        }
    }

    private func finish(
        _ data: File, _ logFile: File, _ header: DeltaLogHeader, _ replay: DeltaLogReplay,
        _ states: BlockStates
    ) throws -> Delta {
        let sameBoot = header.bootID == bootID
        var files = Delta.Files(data: data)
        if sameBoot { files.log = try DeltaLog(continuing: logFile, header, replay) }
        let delta = Delta(
            id: id, directory: directory, bootID: bootID, blockCount: blockCount, parentLimit: parentLimit,
            states: states, files: files, mayBeUnflushed: sameBoot, areNamesDurable: mustExist,
            isEphemeral: isEphemeral, brokenReason: nil)
        if !sameBoot {
            // The old log belongs to an earlier boot: its unbelieved tail must never be believed later.
            try data.synchronizeData()
            let log = try delta.writeCompactLog(firstSequence: replay.nextSequence)
            delta.files.withLock { $0.log = log }
        }
        return delta
    }
}
