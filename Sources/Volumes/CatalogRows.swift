// SPDX-License-Identifier: Apache-2.0

import Base
import Foundation
import GRDB

/// A row of `snapshots`.
struct SnapshotRow {
    var id: UInt64
    /// The snapshot below, while there is a delta.
    var parent: UInt64?
    /// The frozen delta, until it is sealed.
    var delta: UInt64?
    /// The block map's digest, once it is sealed.
    var map: Digest?
    /// Digest of the snapshot that this one was made on; known once it is sealed.
    var origin: Digest?
    var blocks: UInt32
    var configuration: [UInt8]
    var source: String
    var created: Int64
}

/// A row of `images`.
struct ImageRow {
    var name: String
    var snapshot: UInt64
    var created: Int64
}

/// A row of `volumes`.
struct VolumeRow {
    var name: String
    var id: UInt64
    var snapshot: UInt64?
    var delta: UInt64
    var blocks: UInt32
    /// The delta's files had reached the disk, so they must be there.
    var hasFiles: Bool
    var parentImage: String
    var created: Int64
    /// It ends with the daemon's process at the latest: the next start removes it.
    var isEphemeral = false
}

/// Everything in the catalog; rows that make no sense are left out and counted.
struct CatalogContents {
    var snapshots: [SnapshotRow] = []
    var images: [ImageRow] = []
    var volumes: [VolumeRow] = []
    /// URIs by snapshot, in order.
    var sources: [UInt64: [String]] = [:]
    var unreadableRows = 0
}

extension Catalog {
    /// Numbers have 63 bits, since SQLite's integers are signed.
    static func newID() -> UInt64 { UInt64.random(in: 1..<1 << 63) }

    func load() throws(VolumeError) -> CatalogContents {
        try read { db in
            var contents = CatalogContents()
            let snapshotColumns = "id, parent, delta, map, origin, blocks, configuration, source, created"
            for row in try Row.fetchAll(db, sql: "SELECT \(snapshotColumns) FROM snapshots") {
                if let row = SnapshotRow(row) {
                    contents.snapshots.append(row)
                } else {
                    contents.unreadableRows += 1
                }
            }
            for row in try Row.fetchAll(db, sql: "SELECT name, snapshot, created FROM images") {
                if let row = ImageRow(row) {
                    contents.images.append(row)
                } else {
                    contents.unreadableRows += 1
                }
            }
            let columns = "name, id, snapshot, delta, blocks, has_files, parent_image, created, ephemeral"
            for row in try Row.fetchAll(db, sql: "SELECT \(columns) FROM volumes") {
                if let row = VolumeRow(row) {
                    contents.volumes.append(row)
                } else {
                    contents.unreadableRows += 1
                }
            }
            try loadSources(db, &contents)
            return contents
        }
    }

    // MARK: Statements; each runs inside a transaction of the caller.

    static func insert(_ row: SnapshotRow, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            Int64(row.id), row.parent.map { Int64($0) }, row.delta.map { Int64($0) },
            row.map.map { Data($0.bytes) }, row.origin.map { Data($0.bytes) }, Int64(row.blocks),
            Data(row.configuration), row.source, row.created,
        ])
    }

    static func insert(_ row: ImageRow, _ db: Database) throws {
        let statement = try db.cachedStatement(sql: "INSERT INTO images VALUES (?, ?, ?)")
        try statement.execute(arguments: [row.name, Int64(row.snapshot), row.created])
    }

    /// The name means another snapshot from now on.
    static func point(image: String, to snapshot: UInt64, created: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "UPDATE images SET snapshot = ?, created = ? WHERE name = ?")
            .execute(arguments: [Int64(snapshot), created, image])
    }

    static func insert(_ row: VolumeRow, _ db: Database) throws {
        let statement = try db.cachedStatement(sql: "INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            row.name, Int64(row.id), row.snapshot.map { Int64($0) }, Int64(row.delta), Int64(row.blocks),
            row.hasFiles ? 1 : 0, row.parentImage, row.created, row.isEphemeral ? 1 : 0,
        ])
    }

    /// The volume goes on with a new delta on another snapshot.
    static func move(
        volume name: String, to snapshot: UInt64, delta: UInt64, blocks: UInt32, _ db: Database
    ) throws {
        let statement = try db.cachedStatement(
            sql: "UPDATE volumes SET snapshot = ?, delta = ?, blocks = ?, has_files = 0 WHERE name = ?")
        try statement.execute(arguments: [Int64(snapshot), Int64(delta), Int64(blocks), name])
    }

    static func seal(snapshot: UInt64, map: Digest, origin: Digest?, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "UPDATE snapshots SET map = ?, origin = ?, parent = NULL, delta = NULL WHERE id = ?")
        try statement.execute(arguments: [
            Data(map.bytes), origin.map { Data($0.bytes) }, Int64(snapshot),
        ])
    }

    static func delete(snapshot: UInt64, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM snapshots WHERE id = ?")
            .execute(arguments: [Int64(snapshot)])
        try db.cachedStatement(sql: "DELETE FROM sources WHERE snapshot = ?")
            .execute(arguments: [Int64(snapshot)])
    }

    static func delete(image: String, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM images WHERE name = ?").execute(arguments: [image])
    }

    static func delete(volume: String, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM volumes WHERE name = ?").execute(arguments: [volume])
    }

    /// From now on a missing file of the delta means damage.
    func markFilesDurable(delta: UInt64) throws(VolumeError) {
        try transaction { db in
            try db.cachedStatement(sql: "UPDATE volumes SET has_files = 1 WHERE delta = ?")
                .execute(arguments: [Int64(delta)])
        }
    }
}

// Rows are read value by value: GRDB's own conversions end the program when a value has another type.

extension SnapshotRow {
    init?(_ row: Row) {
        guard let id = row.number(0), let blocks = row.blocks(5), let configuration = row.bytes(6),
            let source = row.text(7), let created = row.time(8)
        else { return nil }
        self.init(
            id: id, parent: row.number(1), delta: row.number(2),
            map: row.bytes(3).flatMap { Digest(bytes: $0) },
            origin: row.bytes(4).flatMap { Digest(bytes: $0) },
            blocks: blocks, configuration: configuration, source: source, created: created)
    }
}

extension ImageRow {
    init?(_ row: Row) {
        guard let name = row.text(0), let snapshot = row.number(1), let created = row.time(2) else {
            return nil
        }
        self.init(name: name, snapshot: snapshot, created: created)
    }
}

extension VolumeRow {
    init?(_ row: Row) {
        guard let name = row.text(0), let id = row.number(1), let delta = row.number(3),
            let blocks = row.blocks(4), let files = row.time(5), let parent = row.text(6),
            let created = row.time(7), let ephemeral = row.time(8)
        else { return nil }
        self.init(
            name: name, id: id, snapshot: row.number(2), delta: delta, blocks: blocks, hasFiles: files != 0,
            parentImage: parent, created: created, isEphemeral: ephemeral != 0)
    }
}

extension Row {
    private func value(_ index: Int) -> DatabaseValue { self[index] }

    func time(_ index: Int) -> Int64? { Int64.fromDatabaseValue(value(index)) }

    func number(_ index: Int) -> UInt64? {
        guard let value = time(index), value > 0 else { return nil }
        return UInt64(value)
    }

    func blocks(_ index: Int) -> UInt32? {
        guard let value = time(index), value > 0, value < Int64(UInt32.max) else { return nil }
        return UInt32(value)
    }

    func text(_ index: Int) -> String? { String.fromDatabaseValue(value(index)) }

    func bytes(_ index: Int) -> [UInt8]? {
        Data.fromDatabaseValue(value(index)).map { [UInt8]($0) }
    }
}
