// SPDX-License-Identifier: Apache-2.0

/// A mount that the daemon has made for somebody.
public struct MountInfo: Codable, Equatable, Sendable {
    /// The image or volume.
    public let name: String
    /// `image` or `volume`.
    public let kind: String
    /// Absolute path without links.
    public let directory: String
    public let readOnly: Bool
    /// The loop device; several mounts of one image share it.
    public let device: String
    /// The container whose root it is.
    public let container: String?
}

/// What `POST /v1/mounts` takes.
public struct MountRequest: Codable, Sendable {
    public let name: String
    /// Absolute path of an existing directory.
    public let directory: String
    /// Images are always mounted read-only.
    public let readOnly: Bool

    public init(name: String, directory: String, readOnly: Bool) {
        self.name = name
        self.directory = directory
        self.readOnly = readOnly
    }
}
