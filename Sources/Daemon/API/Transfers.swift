// SPDX-License-Identifier: Apache-2.0

public import Base

/// What `POST /v1/pushes` takes.
public struct PushRequest: Codable, Sendable {
    public let image: String
    /// `HOST/REPOSITORY:TAG`, `s3://BUCKET/PREFIX#NAME` or `dir:PATH#NAME`.
    public let reference: String
    /// Pushes an ordinary image too, and attaches the block image to it.
    public var alsoOrdinary = false
    /// Puts what containers read first into a pack of its own, if the image has a profile.
    public var bootPack = true

    public init(image: String, reference: String) {
        self.image = image
        self.reference = reference
    }
}

/// What a push did.
public struct PushInfo: Codable, Equatable, Sendable {
    /// With the digest of the manifest, where that can be asked for.
    public let reference: String
    public let digest: String
    /// Bytes that went over the wire.
    public let sentBytes: UInt64
    /// Chunks that were sent, and their plain bytes.
    public let sentChunks: Int
    public let sentPlainBytes: UInt64
    /// Those that the other side had.
    public let reusedChunks: Int
    public let reusedPlainBytes: UInt64
    /// The ordinary image that was pushed too.
    public let ordinaryReference: String?
    public let seconds: Double
}

/// What `POST /v1/pulls` takes.
public struct PullRequest: Codable, Sendable {
    public let reference: String
    /// What the image is to be called here; absent for the reference.
    public var name: String?
    /// `os/architecture[/variant]` of an ordinary image; absent for this machine's.
    public var platform: String?
    /// Attaches a block image to the ordinary image at its registry, so that others need not pull it whole.
    public var publish = false
    /// `never`, `idle` or `now`; absent for what is configured.
    public var fill: String?
    /// Succeeds when the whole image is here.
    public var whole = false

    public init(reference: String) {
        self.reference = reference
    }
}

/// What a pull did.
public struct PullInfo: Codable, Equatable, Sendable {
    /// `block`: blocks arrive when they are read; `ordinary`: fetched whole and flattened here.
    public let kind: String
    /// With the digest of the manifest that was used.
    public let reference: String
    public let digest: String
    /// Bytes that were fetched before the image could be used.
    public let fetchedBytes: UInt64
    /// Chunks of the image, and those of them that were here already.
    public let chunks: Int
    public let presentChunks: Int
    /// Where the block image was published.
    public var published: String?
    /// Milliseconds that each step took, in order; none where they are not told apart.
    public var timings: [StepClock.Step] = []
    public let seconds: Double
}
