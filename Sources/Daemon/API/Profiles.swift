// SPDX-License-Identifier: Apache-2.0

/// What `POST /v1/profiles` takes: the container whose reads so far become its image's boot profile.
public struct ProfileRequest: Codable, Sendable {
    public let container: String

    public init(container: String) {
        self.container = container
    }
}

/// A boot profile, in numbers.
public struct ProfileInfo: Codable, Equatable, Sendable {
    public let image: String
    /// Runs of blocks that were read, each the first time.
    public let touches: Int
    public let touchedBytes: UInt64
    /// Bytes of the image that are not holes.
    public let dataBytes: UInt64
}
