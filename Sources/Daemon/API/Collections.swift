// SPDX-License-Identifier: Apache-2.0

import Volumes

/// What `POST /v1/collections` takes.
public struct CollectRequest: Codable, Sendable {
    public init() {}
}

/// What a collection has freed.
public struct CollectInfo: Codable, Equatable, Sendable {
    public let snapshots: Int
    public let chunks: Int
    public let bytes: UInt64

    init(_ report: CollectReport) {
        snapshots = report.snapshots
        chunks = report.chunks
        bytes = report.bytes
    }
}
