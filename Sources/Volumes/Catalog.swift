// SPDX-License-Identifier: Apache-2.0

import Base
import Foundation
import GRDB
import Glibc

/// The catalog: which images, snapshots and volumes there are, in SQLite.
///
/// One connection writes. A commit appends to the write-ahead log and flushes nothing, which is why a clone
/// takes no flush; a killed daemon loses no commit. What must survive a power cut is followed by `flush`,
/// which flushes that log and with it every commit so far.
final class Catalog: Sendable {
    /// The version of the schema that this program writes.
    static let formatVersion = 3
    /// Bytes of write-ahead log at which it is moved into the database, in the background.
    private static let checkpointBytes: UInt64 = 4 << 20

    let path: String
    private let queue: DatabaseQueue
    /// A second connection, so that moving the log into the database holds nobody up.
    private let checkpointer: DatabaseQueue
    private let log: File

    /// Opens the database or makes it.
    init(path: String, root: String) throws(VolumeError) {
        self.path = path
        do {
            queue = try DatabaseQueue(path: path, configuration: Self.configuration("catalog"))
            try queue.inTransaction(.immediate) { db in
                try Self.prepare(db, root: root)
                return .commit
            }
            checkpointer = try DatabaseQueue(path: path, configuration: Self.configuration("checkpoint"))
            log = try File(open: path + "-wal", O_RDWR)
            try log.synchronizeData()
            try Directories.synchronize(root)
        } catch {
            throw Self.error(error, path)
        }
    }

    private static func configuration(_ label: String) -> Configuration {
        var configuration = Configuration()
        configuration.label = label
        configuration.journalMode = .wal
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
        }
        return configuration
    }

    private static func prepare(_ db: Database, root: String) throws {
        try db.execute(sql: "CREATE TABLE IF NOT EXISTS format (version INTEGER NOT NULL)")
        let stored = try Row.fetchOne(db, sql: "SELECT version FROM format")
        guard let stored else {
            for statement in schema + [sourcesTable, ephemeralColumn] + keysSchema {
                try db.execute(sql: statement)
            }
            return try writeFormat(formatVersion, db)
        }
        let value: DatabaseValue = stored[0]
        guard let version = Int.fromDatabaseValue(value), version >= 1 else {
            throw VolumeError.catalog("\(root): its format version cannot be read; restore it from a copy")
        }
        if version > formatVersion { throw VolumeError.newerFormat(version, root: root) }
        // Format 1 had no sources: all that its snapshots need is here.
        if version < 2 { try db.execute(sql: sourcesTable) }
        if version < 3 { for statement in keysSchema { try db.execute(sql: statement) } }
        // A column more with a default is no new format.
        if try !db.columns(in: "volumes").contains(where: { $0.name == "ephemeral" }) {
            try db.execute(sql: ephemeralColumn)
        }
        if version == formatVersion { return }
        try writeFormat(formatVersion, db)
    }

    static func writeFormat(_ version: Int, _ db: Database) throws {
        try db.execute(sql: "DELETE FROM format")
        try db.execute(sql: "INSERT INTO format VALUES (?)", arguments: [version])
    }

    private static let schema = [
        """
        CREATE TABLE snapshots (
            id INTEGER PRIMARY KEY, parent INTEGER, delta INTEGER, map BLOB, origin BLOB,
            blocks INTEGER NOT NULL, configuration BLOB NOT NULL, source TEXT NOT NULL,
            created INTEGER NOT NULL)
        """,
        "CREATE TABLE images (name TEXT PRIMARY KEY, snapshot INTEGER NOT NULL, created INTEGER NOT NULL)",
        """
        CREATE TABLE volumes (
            name TEXT PRIMARY KEY, id INTEGER NOT NULL, snapshot INTEGER, delta INTEGER NOT NULL,
            blocks INTEGER NOT NULL, has_files INTEGER NOT NULL, parent_image TEXT NOT NULL,
            created INTEGER NOT NULL)
        """,
        "CREATE INDEX volumes_delta ON volumes (delta)",
    ]

    /// Since format 2: where the chunks of a snapshot can be fetched from, in the order in which to ask.
    private static let sourcesTable = """
        CREATE TABLE sources (
            snapshot INTEGER NOT NULL, rank INTEGER NOT NULL, uri TEXT NOT NULL,
            PRIMARY KEY (snapshot, rank)) WITHOUT ROWID
        """

    /// Which volumes nobody wants back after the daemon's end.
    private static let ephemeralColumn =
        "ALTER TABLE volumes ADD COLUMN ephemeral INTEGER NOT NULL DEFAULT 0"

    // MARK: Transactions

    /// Runs one transaction; either all of it counts or, when it throws, nothing.
    func transaction(_ body: (Database) throws -> Void) throws(VolumeError) {
        do {
            try queue.inTransaction(.immediate) { db in
                try body(db)
                return .commit
            }
        } catch {
            throw Self.error(error, path)
        }
    }

    func read<T>(_ body: (Database) throws -> T) throws(VolumeError) -> T {
        do { return try queue.read(body) } catch { throw Self.error(error, path) }
    }

    /// Makes every commit so far survive a power cut.
    ///
    /// SQLite would flush in each commit (`synchronous = FULL`) or hardly ever (`NORMAL`). A commit is whole
    /// once its frames in the write-ahead log are on disk, so flushing that file alone, when it is needed, is
    /// enough.
    func flush() throws(VolumeError) {
        do throws(SystemError) { try log.synchronizeData() } catch { throw .system(error) }
    }

    /// Moves the write-ahead log into the database when it has grown; for the background thread.
    func checkpointIfLarge() throws(VolumeError) {
        do {
            if try log.size() < Self.checkpointBytes { return }
            try checkpointer.writeWithoutTransaction { db in _ = try db.checkpoint(.passive) }
        } catch {
            throw Self.error(error, path)
        }
    }

    static func error(_ error: any Error, _ path: String) -> VolumeError {
        switch error {
        case let error as VolumeError: error
        case let error as SystemError: .system(error)
        case let error as DatabaseError where error.resultCode == .SQLITE_FULL:
            .system(SystemError(ENOSPC, "write", path))
        case let error as DatabaseError
        where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT:
            .catalog("\(path) is damaged (\(error.message ?? "no details")); restore it from a copy")
        case let error as DatabaseError:
            .catalog("\(path): \(error.message ?? "error \(error.resultCode.rawValue)")")
        default: .catalog("\(path): \(error)")
        }
    }
}
