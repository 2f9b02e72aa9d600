// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB

extension Catalog {
    /// Since format 3: keys of other programs.
    static let keysSchema = [
        """
        CREATE TABLE keys (
            key TEXT PRIMARY KEY, parent TEXT NOT NULL, kind INTEGER NOT NULL, entry TEXT NOT NULL,
            origin TEXT NOT NULL, depth INTEGER NOT NULL, labels BLOB NOT NULL, created INTEGER NOT NULL,
            updated INTEGER NOT NULL, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL)
        """,
        "CREATE INDEX keys_parent ON keys (parent)",
        "CREATE INDEX keys_entry ON keys (entry)",
    ]

    private static let columns =
        "key, parent, kind, entry, origin, depth, labels, created, updated, bytes, inodes"

    // MARK: Statements; each runs inside a transaction of the caller.

    static func key(_ key: String, _ db: Database) throws -> KeyRecord? {
        try Row.fetchOne(
            try db.cachedStatement(sql: "SELECT \(columns) FROM keys WHERE key = ?"), arguments: [key]
        ).flatMap { KeyRecord($0) }
    }

    static func keys(_ db: Database) throws -> [KeyRecord] {
        try Row.fetchAll(db, sql: "SELECT \(columns) FROM keys ORDER BY key").compactMap { KeyRecord($0) }
    }

    static func hasChildren(key: String, _ db: Database) throws -> Bool {
        let statement = try db.cachedStatement(sql: "SELECT 1 FROM keys WHERE parent = ? LIMIT 1")
        return try Row.fetchOne(statement, arguments: [key]) != nil
    }

    /// The key whose volume or image this is.
    static func key(ofEntry entry: String, _ db: Database) throws -> String? {
        let statement = try db.cachedStatement(sql: "SELECT key FROM keys WHERE entry = ? LIMIT 1")
        return try Row.fetchOne(statement, arguments: [entry])?.text(0)
    }

    static func insert(_ record: KeyRecord, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: "INSERT INTO keys (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            record.key, record.parent, record.kind.rawValue, record.entry, record.origin, record.depth,
            try encode(record.labels), record.createdNs, record.updatedNs,
            Int64(clamping: record.usage.bytes), Int64(clamping: record.usage.inodes),
        ])
    }

    static func delete(key: String, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM keys WHERE key = ?").execute(arguments: [key])
    }

    static func replace(key: String, with record: KeyRecord, _ db: Database) throws {
        try delete(key: key, db)
        try insert(record, db)
    }

    private static func encode(_ labels: [String: String]) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(labels)
    }
}

extension KeyRecord {
    init?(_ row: Row) {
        guard let key = row.text(0), let parent = row.text(1),
            let kind = row.time(2).flatMap({ KeyKind(rawValue: $0) }), let entry = row.text(3),
            let origin = row.text(4), let depth = row.time(5), let labels = row.bytes(6),
            let created = row.time(7), let updated = row.time(8), let bytes = row.time(9),
            let inodes = row.time(10)
        else { return nil }
        self.init(
            key: key, parent: parent, kind: kind, entry: entry, origin: origin, depth: Int(clamping: depth),
            labels: (try? JSONDecoder().decode([String: String].self, from: Data(labels))) ?? [:],
            createdNs: created, updatedNs: updated,
            usage: KeyUsage(bytes: UInt64(clamping: bytes), inodes: UInt64(clamping: inodes)))
    }
}
