// SPDX-License-Identifier: Apache-2.0

public import Base

/// The configuration of an image: how its containers start, and which layers it is made of.
///
/// Field names are those of the OCI image specification (config.md) and of Docker's schema 2, which agree.
public struct ImageConfiguration: Codable, Sendable, Equatable {
    /// A JSON object without members: the value that Docker's sets have.
    public struct Present: Codable, Sendable, Equatable {
        public init() {}
    }

    /// What a container runs when its user says nothing else.
    public struct Execution: Codable, Sendable, Equatable {
        public var user: String?
        public var exposedPorts: [String: Present]?
        public var environment: [String]?
        public var entrypoint: [String]?
        public var command: [String]?
        public var volumes: [String: Present]?
        public var workingDirectory: String?
        public var labels: [String: String]?
        public var stopSignal: String?

        public init() {}

        enum CodingKeys: String, CodingKey {
            case user = "User"
            case exposedPorts = "ExposedPorts"
            case environment = "Env"
            case entrypoint = "Entrypoint"
            case command = "Cmd"
            case volumes = "Volumes"
            case workingDirectory = "WorkingDir"
            case labels = "Labels"
            case stopSignal = "StopSignal"
        }
    }

    public struct RootFileSystem: Codable, Sendable, Equatable {
        public var type: String
        /// Digests of the plain tars, lowest layer first.
        public var diffIDs: [String]

        public init(diffIDs: [String]) {
            self.type = "layers"
            self.diffIDs = diffIDs
        }

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    public struct HistoryEntry: Codable, Sendable, Equatable {
        public var created: String?
        public var createdBy: String?
        public var author: String?
        public var comment: String?
        public var emptyLayer: Bool?

        enum CodingKeys: String, CodingKey {
            case created
            case createdBy = "created_by"
            case author
            case comment
            case emptyLayer = "empty_layer"
        }
    }

    public var created: String?
    public var author: String?
    public var architecture: String
    public var os: String
    public var variant: String?
    public var config: Execution?
    public var rootfs: RootFileSystem
    public var history: [HistoryEntry]?

    public init(platform: Platform, diffIDs: [String] = []) {
        architecture = platform.architecture
        os = platform.os
        variant = platform.variant
        rootfs = RootFileSystem(diffIDs: diffIDs)
    }

    /// Reads a configuration; it may be hostile.
    public init(parsing bytes: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(Self.self, bytes, name: name)
        if rootfs.type != "layers" {
            throw .badDocument(name, reason: "the type of its rootfs is not layers")
        }
        if rootfs.diffIDs.count > Manifest.layerLimit {
            let reason = "it has \(rootfs.diffIDs.count) layers; at most \(Manifest.layerLimit) are read"
            throw .limit(name, reason: reason)
        }
    }

    /// The digests of the plain layers, strictly parsed, lowest first.
    public func checkedDiffIDs() throws(OCIError) -> [Digest] {
        var digests: [Digest] = []
        for text in rootfs.diffIDs { digests.append(try Digest(contentDigest: text)) }
        return digests
    }

    public var platform: Platform {
        Platform(os: os, architecture: architecture, variant: variant)
    }
}
