// SPDX-License-Identifier: Apache-2.0

public import Base
public import OCI
public import Volumes

/// Whose block images may be mounted.
///
/// Who pushes a block image hands the kernel a file system of his making. Images that are flattened here are
/// safe by construction and need no trust.
public struct BlockImagePolicy: Sendable {
    private let allows: @Sendable (RemoteReference) -> Bool

    /// Asks the closure for each reference.
    public init(_ allows: @escaping @Sendable (RemoteReference) -> Bool) {
        self.allows = allows
    }

    /// Trusts every place.
    public static let everyone = BlockImagePolicy { _ in true }
    /// Trusts no place: only ordinary images can be pulled.
    public static let nobody = BlockImagePolicy { _ in false }

    /// Trusts places that are one of the entries or lie below one: `HOST`, `HOST/REPOSITORY`, `HOST/PREFIX/`,
    /// `s3://BUCKET/PREFIX`, `dir:PATH`, `https://HOST/PATH`; `*` is every place.
    public static func places(_ entries: [String]) -> BlockImagePolicy {
        BlockImagePolicy { reference in
            let origin = reference.origin
            return entries.contains { entry in
                let prefix = entry.hasSuffix("/") ? String(entry.dropLast()) : entry
                return entry == "*" || origin == entry || origin == prefix || origin.hasPrefix(prefix + "/")
                    || origin.hasPrefix(prefix + "?")
            }
        }
    }

    public func isTrusted(_ reference: RemoteReference) -> Bool { allows(reference) }
}

/// How an image is pulled.
public struct PullOptions: Sendable {
    /// Of an ordinary image with several variants, this one; nil is the machine's own.
    public var platform: Platform?
    public var policy: BlockImagePolicy
    /// Begins at once to fetch what a container reads first.
    public var streamsBootPack: Bool
    /// For an ordinary image: looks whether a block image is attached to it.
    public var looksForAttached: Bool
    /// Flattens an ordinary image that has no block image.
    ///
    /// Without it such an image is an error.
    public var acceptsOrdinary: Bool
    /// An image that has the name here already gives way to what was pulled; else that is an error.
    ///
    /// One with equal content stays in either case.
    public var replacesExisting: Bool

    public init(
        platform: Platform? = nil, policy: BlockImagePolicy = .nobody, streamsBootPack: Bool = true,
        looksForAttached: Bool = true, acceptsOrdinary: Bool = true, replacesExisting: Bool = true
    ) {
        self.platform = platform
        self.policy = policy
        self.streamsBootPack = streamsBootPack
        self.looksForAttached = looksForAttached
        self.acceptsOrdinary = acceptsOrdinary
        self.replacesExisting = replacesExisting
    }
}

/// What a pull did.
public struct PullReport: Sendable {
    public enum Kind: String, Sendable {
        /// A block image: blocks arrive when they are read.
        case block
        /// An ordinary image, fetched whole and flattened here.
        case ordinary
    }

    public var image: ImageRecord
    public var kind: Kind
    /// The reference with the digest of the manifest that was used.
    public var reference: String
    /// Digest of that manifest.
    public var digest: Digest
    /// Bytes that were fetched before the image could be cloned.
    public var fetchedBytes: UInt64 = 0
    /// Chunks of the image, and those of them that were here already.
    public var chunks = 0
    public var presentChunks = 0
    /// Stored bytes of the boot pack; 0 without one.
    public var bootBytes: UInt64 = 0
    public var seconds: Double = 0
    /// How long what took, for a block image.
    public var steps: [StepClock.Step] = []

    public init(image: ImageRecord, kind: Kind, reference: String, digest: Digest) {
        self.image = image
        self.kind = kind
        self.reference = reference
        self.digest = digest
    }
}
