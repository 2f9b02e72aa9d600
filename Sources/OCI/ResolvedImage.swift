// SPDX-License-Identifier: Apache-2.0

public import Base

/// An image whose manifest and configuration have been read and checked; its layers have not.
public struct ResolvedImage: Sendable {
    public let configuration: ImageConfiguration
    /// The configuration as it came, byte for byte.
    public let configurationBytes: [UInt8]
    /// Lowest first.
    public let layers: [LayerSource]
    /// Of the manifest, where the image has one.
    public let manifestDigest: Digest?

    public init(
        configuration: ImageConfiguration, configurationBytes: [UInt8], layers: [LayerSource],
        manifestDigest: Digest? = nil
    ) {
        self.configuration = configuration
        self.configurationBytes = configurationBytes
        self.layers = layers
        self.manifestDigest = manifestDigest
    }

    /// Bytes of all layers as they are packed.
    public var layerBytes: UInt64 { layers.reduce(0) { $0 + $1.sizeBytes } }
}

/// One layer: what is known about its bytes, and the way to them.
///
/// Whoever reads it checks the size and each digest that is there.
public struct LayerSource: Sendable {
    /// For error texts: the digest, or the file's name where the image gives none.
    public let name: String
    public let compression: LayerCompression
    /// Of the bytes as they are packed; nil where the source has no manifest.
    public let digest: Digest?
    /// Of the plain tar; nil only for a bare root file system.
    public let diffID: Digest?
    /// Bytes as they are packed.
    public let sizeBytes: UInt64
    private let opener: @Sendable () throws(OCIError) -> any BlobStream

    public init(
        name: String, compression: LayerCompression, digest: Digest?, diffID: Digest?, sizeBytes: UInt64,
        open: @escaping @Sendable () throws(OCIError) -> any BlobStream
    ) {
        self.name = name
        self.compression = compression
        self.digest = digest
        self.diffID = diffID
        self.sizeBytes = sizeBytes
        self.opener = open
    }

    init(
        name: String, compression: LayerCompression, digest: Digest?, diffID: Digest?, content: BlobContent
    ) {
        self.init(
            name: name, compression: compression, digest: digest, diffID: diffID,
            sizeBytes: content.sizeBytes,
            open: { () throws(OCIError) in content.stream() })
    }

    /// The bytes from their start; every call gives a stream of its own.
    public func open() throws(OCIError) -> any BlobStream {
        try opener()
    }
}
