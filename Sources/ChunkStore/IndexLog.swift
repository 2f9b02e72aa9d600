// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The append-only log that says which chunk lies where.
///
/// Invariants, in the order in which they are kept:
/// 1. an *add* record is written only after the data of its chunk has been made durable;
/// 2. a caller is told that a chunk is stored only after its *add* record has been made durable;
/// 3. the space of a chunk is given back only after its *free* record has been made durable.
/// So every intact record speaks the truth about what is on the disk, whichever prefix of the log survives.
///
/// Not thread-safe: the store keeps it inside a lock.
final class IndexLog {
    /// What reading the log at start found.
    struct Replay: Equatable {
        var records = 0
        /// Bytes behind the last intact record that were cut off.
        var droppedBytes: UInt64 = 0
    }

    /// Space kept in hand behind the end, so that chunks can be freed when the disk is full.
    private static let reserveBytes: UInt64 = 1 << 20
    private static let bufferRecords = 1 << 16

    private let path: String
    private let hooks: StoreHooks
    private var file: File
    private(set) var header: IndexHeader
    private var seed: UInt32
    /// Where the next record goes.
    private(set) var end: UInt64
    private var reservedEnd: UInt64 = 0
    /// Set when a synchronisation failed: what the log holds is then unknown until it is read again.
    private(set) var hasFailed = false

    /// Opens the log, or makes it when `mayCreate` and there is none.
    init(path: String, mayCreate: Bool, hooks: StoreHooks) throws(ChunkStoreError) {
        self.path = path
        self.hooks = hooks
        let start: [UInt8]
        do throws(SystemError) {
            try Directories.removeFile(path + ".new")
            if mayCreate, !Directories.exists(path) {
                try Directories.replaceFile(path, with: IndexHeader.fresh().encode())
            }
            file = try File(open: path, O_RDWR)
            start = try file.read(count: IndexHeader.byteCount, at: 0)
            end = try file.size()
        } catch {
            if error.code == ENOENT, error.call == "open" {
                throw .unreadableIndex(path: path, reason: "it is missing, yet there are arenas beside it")
            }
            throw ChunkStoreError(error)
        }
        header = try IndexHeader.decode(start, path: path)
        seed = header.seed
    }

    var recordCount: UInt64 { (end - UInt64(IndexHeader.byteCount)) / UInt64(IndexRecord.byteCount) }

    // MARK: Reading

    /// Reads every record in order, up to the first that is damaged, and cuts the log off there.
    func replay(_ body: (IndexRecord) -> Void) throws(ChunkStoreError) -> Replay {
        var result = Replay()
        var offset = UInt64(IndexHeader.byteCount)
        do throws(SystemError) {
            reading: while true {
                let bytes = try file.read(count: Self.bufferRecords * IndexRecord.byteCount, at: offset)
                let intact = forEachRecord(in: bytes, body)
                result.records += intact
                offset += UInt64(intact * IndexRecord.byteCount)
                if intact < Self.bufferRecords { break reading }
            }
            if offset < end {
                result.droppedBytes = end - offset
                try file.truncate(to: offset)
                try hooks.synchronize(file)
                end = offset
            }
        } catch {
            throw ChunkStoreError(error)
        }
        return result
    }

    /// Returns how many records stand before the first damaged one, or the end.
    private func forEachRecord(in bytes: [UInt8], _ body: (IndexRecord) -> Void) -> Int {
        bytes.withUnsafeBytes { buffer in
            var count = 0
            while (count + 1) * IndexRecord.byteCount <= buffer.count {
                let start = count * IndexRecord.byteCount
                let piece = UnsafeRawBufferPointer(rebasing: buffer[start..<start + IndexRecord.byteCount])
                guard let record = IndexRecord(piece, seed: seed) else { break }
                body(record)
                count += 1
            }
            return count
        }
    }

    // MARK: Writing

    /// Appends records and makes them durable.
    ///
    /// When the write fails the log is as it was before. When the synchronisation fails the log takes no more
    /// records: the kernel has dropped pages that it had promised to keep, and a second try would succeed
    /// falsely.
    func append(_ records: [IndexRecord]) throws(ChunkStoreError) {
        if hasFailed { throw .readOnly(path: path) }
        do throws(SystemError) {
            for start in stride(from: 0, to: records.count, by: Self.bufferRecords) {
                let part = records[start..<min(start + Self.bufferRecords, records.count)]
                let done = UInt64(start * IndexRecord.byteCount)
                try file.write(Self.encode(part, seed: seed), at: end + done)
            }
        } catch {
            // What was written of the batch would be truthful, but is not wanted; a failure here changes
            // nothing.
            try? file.truncate(to: end)
            throw ChunkStoreError(error)
        }
        try synchronize()
        end += UInt64(records.count * IndexRecord.byteCount)
        reserve()
    }

    private func synchronize() throws(ChunkStoreError) {
        do throws(SystemError) {
            try hooks.synchronize(file)
        } catch {
            hasFailed = true
            throw .notDurable(error)
        }
    }

    private func reserve() {
        if end + Self.reserveBytes / 2 <= reservedEnd { return }
        // Best effort: without it, freeing on a full disk may need another file to go first.
        if (try? file.allocate(at: end, count: Self.reserveBytes)) != nil {
            reservedEnd = end + Self.reserveBytes
        }
    }

    private static func encode(_ records: ArraySlice<IndexRecord>, seed: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(records.count * IndexRecord.byteCount)
        for record in records { record.append(to: &bytes, seed: seed) }
        return bytes
    }

    // MARK: Compaction

    /// True when most records speak of chunks that are gone or stand elsewhere now.
    func isMostlyDead(live: Int) -> Bool {
        recordCount > 4096 && UInt64(live) * 2 < recordCount
    }

    /// Writes the log anew with these records only.
    ///
    /// A crash leaves the old log or the new one.
    func compact(_ records: [IndexRecord], nextArena: UInt32) throws(ChunkStoreError) {
        if hasFailed { throw .readOnly(path: path) }
        var fresh = header
        fresh.generation &+= 1
        fresh.nextArena = nextArena
        let temporary = path + ".new"
        do throws(SystemError) {
            let file = try File(open: temporary, O_RDWR | O_CREAT | O_TRUNC)
            try file.write(fresh.encode(), at: 0)
            var offset = UInt64(IndexHeader.byteCount)
            for start in stride(from: 0, to: records.count, by: Self.bufferRecords) {
                let part = records[start..<min(start + Self.bufferRecords, records.count)]
                let bytes = Self.encode(part, seed: fresh.seed)
                try file.write(bytes, at: offset)
                offset += UInt64(bytes.count)
            }
            try hooks.synchronize(file)
            if rename(temporary, path) < 0 { throw SystemError.last("rename", path) }
            self.file = file
            header = fresh
            seed = fresh.seed
            end = offset
            reservedEnd = 0
        } catch {
            try? Directories.removeFile(temporary)
            throw ChunkStoreError(error)
        }
        do throws(SystemError) {
            try Directories.synchronize(Directories.parent(of: path))
        } catch {
            // Which of the two logs a power cut would leave is unknown now, so neither may be added to.
            hasFailed = true
            throw .notDurable(error)
        }
        reserve()
    }
}
