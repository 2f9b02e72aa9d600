// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

extension S3Backend: NamedObjects {
    public func readName(_ name: String) throws(ChunkStoreError) -> NamedObject? {
        let key = try NamedObjectKey.path(name)
        let response = try client.perform(
            .init(method: "GET", key: key, limitBytes: NamedObjectKey.maximumObjectBytes))
        if response.status == 404 { return nil }
        guard response.status == 200, let etag = response.header("etag") else {
            throw client.failure(response, key)
        }
        return NamedObject(bytes: response.body, etag: etag)
    }

    /// Stores that know no conditions are asked right before the write; two writers at the same moment may
    /// then both believe that they were first.
    public func writeName(
        _ name: String, bytes: [UInt8], if condition: WriteCondition
    ) throws(ChunkStoreError) -> Bool {
        let key = try NamedObjectKey.path(name)
        var call = S3Client.Call(
            method: "PUT", key: key, body: .bytes(bytes), payloadHash: Digest(hashing: bytes).hex)
        switch condition {
        case .always: break
        case .absent: call.headers = [("If-None-Match", "*")]
        case .matches(let etag): call.headers = [("If-Match", etag)]
        }
        if try !holds(condition, name) { return false }
        var response = try client.perform(call)
        if response.status == 501, condition != .always {
            call.headers = []
            response = try client.perform(call)
        }
        if response.isSuccess { return true }
        if condition != .always, [404, 409, 412].contains(response.status) { return false }
        throw client.failure(response, key)
    }

    private func holds(_ condition: WriteCondition, _ name: String) throws(ChunkStoreError) -> Bool {
        switch condition {
        case .always: true
        case .absent: try readName(name) == nil
        case .matches(let etag): try readName(name)?.etag == etag
        }
    }

    public func listNames() throws(ChunkStoreError) -> [String] {
        try client.list(NamedObjectKey.directory + "/").compactMap { NamedObjectKey.name(ofFile: $0) }
            .sorted()
    }

    public func deleteName(_ name: String) throws(ChunkStoreError) {
        try client.delete(try NamedObjectKey.path(name))
    }
}
