// SPDX-License-Identifier: Apache-2.0

import Distribution
import Flatten

/// What `POST /v1/exports` takes.
public struct ExportRequest: Codable, Sendable {
    /// An image, or a volume, of which the state at the beginning is exported.
    public let name: String
    /// `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `rootfs:FILE`, `ext4:FILE` or `qcow2:FILE`, absolute.
    public let target: String
    /// Of layers and of a tar: `none`, `gzip` or `zstd`; absent for gzip, or what the file's name says.
    public var compression: String?

    public init(name: String, target: String) {
        self.name = name
        self.target = target
    }
}

/// What an export wrote.
public struct ExportInfo: Codable, Equatable, Sendable {
    public let name: String
    public let target: String
    /// Holes of a sparse file are not among them.
    public let writtenBytes: UInt64
    /// Of an image layout: the digest of its manifest.
    public let manifestDigest: String?
    /// Sockets, which no tar can hold.
    public let skippedSockets: UInt64
    public let seconds: Double
}

/// One line of `GET /v1/names/NAME/changes/OTHER`: what has to be done to the first to get the other.
public struct ChangeInfo: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, Sendable {
        case added, changed, removed
    }

    public let kind: Kind
    /// Absolute; bytes that are not UTF-8 appear as U+FFFD.
    public let path: String
    /// `file`, `directory`, `symlink` or what else it is.
    public let type: String
    /// Bytes before and after; absent where there is no such file.
    public let oldSizeBytes: UInt64?
    public let newSizeBytes: UInt64?
    /// Of a changed file: `type`, `content`, `mode`, `owner`, `time`, `attributes`.
    public let aspects: [String]

    init(_ change: TreeChange) {
        kind =
            switch change.kind {
            case .added: .added
            case .changed: .changed
            case .removed: .removed
            }
        path = "/" + String(decoding: change.path, as: UTF8.self)
        type = "\(change.file)"
        (oldSizeBytes, newSizeBytes) = (change.oldSizeBytes, change.newSizeBytes)
        aspects = change.aspects.map(\.rawValue)
    }
}
