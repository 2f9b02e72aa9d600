// SPDX-License-Identifier: Apache-2.0

public import Base
public import ChunkStore
public import OCI

/// How an image is pushed.
public struct PushOptions: Sendable {
    /// zstd level of packs, 1 to 19.
    public var level: Int32
    /// Plain bytes after which a pack is closed; grows for images that would have too many packs.
    public var packBytes: UInt64
    /// Puts what a container reads first into a pack of its own, if the image has a profile.
    public var makesBootPack: Bool
    /// The ordinary image that this one is another form of: the artifact is attached to it.
    ///
    /// Then a registry finds it through the referrers of that manifest, and no tag is set.
    public var subject: Descriptor?
    /// Looks at what the other side has.
    ///
    /// Without it everything is sent, which repairs a damaged repository.
    public var reusesRemote: Bool
    /// More annotations of the manifest; keys that begin with `vnd.slacker.` are ours.
    public var annotations: [String: String]

    public init(
        level: Int32 = Pack.defaultLevel, packBytes: UInt64 = PackTransfer.defaultPackBytes,
        makesBootPack: Bool = true, subject: Descriptor? = nil, reusesRemote: Bool = true,
        annotations: [String: String] = [:]
    ) {
        self.level = level
        self.packBytes = packBytes
        self.makesBootPack = makesBootPack
        self.subject = subject
        self.reusesRemote = reusesRemote
        self.annotations = annotations
    }
}

/// What a push did.
public struct PushReport: Sendable, Equatable {
    /// With the digest of the manifest where that is addressable.
    public var reference: String
    /// Digest of the manifest.
    public var digest: Digest
    /// Bytes of blobs and manifest that were sent.
    public var sentBytes: UInt64 = 0
    /// Chunks that were packed and sent, and their plain bytes.
    public var sentChunks = 0
    public var sentPlainBytes: UInt64 = 0
    /// Chunks that the other side had, and their plain bytes.
    public var reusedChunks = 0
    public var reusedPlainBytes: UInt64 = 0
    /// Packs that were made; those of them that the other side had already; packs mounted from a sibling.
    public var newPacks = 0
    public var presentPacks = 0
    public var mountedPacks = 0
    /// Bytes of the map blob that was made; whether it is a difference to one that was there.
    public var mapBytes: UInt64 = 0
    public var mapIsDifference = false
    public var seconds: Double = 0

    public init(reference: String, digest: Digest) {
        self.reference = reference
        self.digest = digest
    }
}
