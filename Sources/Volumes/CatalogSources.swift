// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB

extension Catalog {
    func loadSources(_ db: Database, _ contents: inout CatalogContents) throws {
        for row in try Row.fetchAll(db, sql: "SELECT snapshot, uri FROM sources ORDER BY snapshot, rank") {
            if let snapshot = row.number(0), let uri = row.text(1) {
                contents.sources[snapshot, default: []].append(uri)
            } else {
                contents.unreadableRows += 1
            }
        }
    }

    /// Replaces the sources of a snapshot; runs inside a transaction of the caller.
    static func setSources(_ uris: [String], of snapshot: UInt64, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM sources WHERE snapshot = ?")
            .execute(arguments: [Int64(snapshot)])
        let statement = try db.cachedStatement(sql: "INSERT INTO sources VALUES (?, ?, ?)")
        for (rank, uri) in uris.enumerated() {
            try statement.execute(arguments: [Int64(snapshot), rank, uri])
        }
    }
}
