// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import Synchronization

/// The blocks in which a volume differs from its parent: a sparse data file in which block b lies at byte
/// b * 4096, a map of block states in memory, and the log from which the map is rebuilt.
///
/// The two files are made by the first change, so an untouched clone has none. An ephemeral delta is read back
/// by a daemon that takes over from one that died, and by nobody else: it is never flushed. A frozen delta,
/// part of a snapshot that is not yet sealed, is the same thing that nobody changes any more.
final class Delta: Sendable {
    /// The open files and what is guarded with them.
    ///
    /// Records are appended and states are changed under one lock, so that the log and the map never disagree
    /// about which change came last.
    struct Files {
        var data: File?
        var log: DeltaLog?
        var isRemoved = false
        var compactAtRecords = DeltaLimits.compactAtRecords
    }

    /// Who flushes, and how far it has come.
    struct Flushing {
        var isRunning = false
        /// The value of `changes` that has reached the disk.
        var flushed: UInt64
        /// The catalog's row for the volume is on disk.
        var isRowDurable: Bool
        /// The names of the two files, and the mark in the catalog that they must exist, are on disk.
        var areNamesDurable: Bool
        var failure: String?
    }

    let id: UInt64
    let directory: String
    let bootID: BootID
    /// Nobody wants it back after a power cut: nothing of it is flushed until a snapshot needs that.
    let isEphemeral: Bool
    let states: BlockStates
    /// Set when recovery found it damaged.
    let brokenReason: String?

    let files: Lock<Files>
    let flushing: Monitor<Flushing>
    /// Counts changes of content; it need not be exact, only never stand still over a change.
    let changes: Atomic<UInt64>
    /// Some clean block may have bytes in the data file, after a transfer that failed.
    let hasLeftovers = Atomic<Bool>(false)
    private let length: Atomic<UInt32>
    private let limit: Atomic<UInt32>
    /// The data file's descriptor once it is open, else -1; `files` owns it.
    private let descriptor = Atomic<Int32>(-1)

    /// A delta without any change.
    init(
        id: UInt64, directory: String, bootID: BootID, blockCount: UInt32, isRowDurable: Bool = false,
        isEphemeral: Bool = false
    ) {
        self.id = id
        self.directory = directory
        self.bootID = bootID
        self.isEphemeral = isEphemeral
        brokenReason = nil
        states = BlockStates(blockCount: blockCount)
        files = Lock(Files())
        flushing = Monitor(Flushing(flushed: 0, isRowDurable: isRowDurable, areNamesDurable: false))
        changes = Atomic(0)
        length = Atomic(blockCount)
        limit = Atomic(.max)
    }

    /// A delta that was read back, or that could not be (`brokenReason`).
    init(
        id: UInt64, directory: String, bootID: BootID, blockCount: UInt32, parentLimit: UInt32,
        states: BlockStates, files: Files, mayBeUnflushed: Bool, areNamesDurable: Bool,
        isEphemeral: Bool = false, brokenReason: String?
    ) {
        self.id = id
        self.directory = directory
        self.bootID = bootID
        self.isEphemeral = isEphemeral
        self.brokenReason = brokenReason
        self.states = states
        descriptor.store(files.data?.fd ?? -1, ordering: .releasing)
        self.files = Lock(files)
        flushing = Monitor(Flushing(flushed: 0, isRowDurable: true, areNamesDurable: areNamesDurable))
        changes = Atomic(mayBeUnflushed ? 1 : 0)
        length = Atomic(blockCount)
        limit = Atomic(parentLimit)
    }

    static func dataPath(_ directory: String, _ id: UInt64) -> String { "\(directory)/\(hex(id)).data" }
    static func logPath(_ directory: String, _ id: UInt64) -> String { "\(directory)/\(hex(id)).log" }
    static func hex(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    var dataPath: String { Self.dataPath(directory, id) }
    var logPath: String { Self.logPath(directory, id) }

    /// The length of the volume in blocks.
    var blockCount: UInt32 { length.load(ordering: .acquiring) }
    /// Blocks from here on do not show the parent: the volume has once been shorter.
    var parentLimit: UInt32 { limit.load(ordering: .acquiring) }

    func setLength(_ blockCount: UInt32) {
        limit.store(min(parentLimit, blockCount), ordering: .releasing)
        length.store(blockCount, ordering: .releasing)
    }

    /// Nothing was ever changed: the content is the parent's.
    var isUntouched: Bool { descriptor.load(ordering: .acquiring) < 0 && brokenReason == nil }

    var openDescriptor: Int32? {
        let raw = descriptor.load(ordering: .acquiring)
        return raw < 0 ? nil : raw
    }

    func publish(_ data: File) {
        descriptor.store(data.fd, ordering: .releasing)
    }

    /// Disk space of the two files.
    var allocatedBytes: UInt64 {
        files.withLock { files in
            ((try? files.data?.status().allocatedBytes) ?? 0)
                + ((try? files.log?.file.status().allocatedBytes) ?? 0)
        }
    }
}

/// Bounds that keep a delta's files in shape.
enum DeltaLimits {
    /// Records in a log before it is first rewritten in its shortest form.
    static let compactAtRecords = 1 << 16
}
