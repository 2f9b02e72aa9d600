// SPDX-License-Identifier: Apache-2.0

public import Base
import FoundationEssentials

/// A checked reference to a blob: what it holds, its digest and its length.
public struct Descriptor: Sendable, Equatable {
    public let mediaType: String
    public let digest: Digest
    public let sizeBytes: UInt64
    public let platform: Platform?
    public let annotations: [String: String]
    /// Of a manifest: what kind of artifact it is, where it says so.
    public let artifactType: String?
    /// The blob itself, where the document that names it carries it; it has the digest and the size.
    public let data: [UInt8]?

    public init(
        mediaType: String, digest: Digest, sizeBytes: UInt64, platform: Platform? = nil,
        annotations: [String: String] = [:], artifactType: String? = nil, data: [UInt8]? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.sizeBytes = sizeBytes
        self.platform = platform
        self.annotations = annotations
        self.artifactType = artifactType
        self.data = data
    }

    /// 1 PiB: so that the sizes of a manifest's layers can be added.
    private static let sizeLimitBytes: UInt64 = 1 << 50

    /// Describes bytes.
    public init(
        mediaType: String, of bytes: [UInt8], annotations: [String: String] = [:], artifactType: String? = nil
    ) {
        self.init(
            mediaType: mediaType, digest: Digest(hashing: bytes), sizeBytes: UInt64(bytes.count),
            annotations: annotations, artifactType: artifactType)
    }

    init(_ wire: WireDescriptor, in document: String) throws(OCIError) {
        guard let text = wire.digest else {
            throw .badDocument(document, reason: "a descriptor has no digest")
        }
        let digest = try Digest(contentDigest: text)
        guard let size = wire.size, size >= 0 else {
            throw .badDocument(document, reason: "the size of \(digest) is missing or negative")
        }
        if UInt64(size) > Self.sizeLimitBytes {
            throw .limit(
                document, reason: "the size of \(digest), \(size) bytes, is more than a blob can have")
        }
        if wire.urls?.isEmpty == false { throw .foreignLayer("\(digest)") }
        let data = wire.data.map { [UInt8]($0) }
        if let data, data.count != Int(size) || Digest(hashing: data) != digest {
            throw .badDocument(document, reason: "the data of \(digest) is something else")
        }
        self.init(
            mediaType: wire.mediaType ?? "", digest: digest, sizeBytes: UInt64(size),
            platform: wire.platform.map {
                Platform(os: $0.os ?? "", architecture: $0.architecture ?? "", variant: $0.variant)
            },
            annotations: wire.annotations ?? [:], artifactType: wire.artifactType, data: data)
    }
}

/// An image manifest: one configuration and the layers, lowest first; or an artifact in that form.
public struct Manifest: Sendable, Equatable {
    public let configuration: Descriptor
    public let layers: [Descriptor]
    /// What kind of artifact it is; nil for an image.
    public let artifactType: String?
    /// The manifest that this one is attached to.
    public let subject: Descriptor?
    public let annotations: [String: String]

    /// The largest number of layers; kernels and other engines stop at about 128.
    public static let layerLimit = 500

    public init(
        configuration: Descriptor, layers: [Descriptor], artifactType: String? = nil,
        subject: Descriptor? = nil, annotations: [String: String] = [:]
    ) {
        self.configuration = configuration
        self.layers = layers
        self.artifactType = artifactType
        self.subject = subject
        self.annotations = annotations
    }

    /// What referrers are listed and filtered by: the artifact type, else the configuration's media type.
    public var kind: String { artifactType ?? configuration.mediaType }
}

/// A manifest or a list of manifests, whichever the bytes are.
public enum ManifestDocument: Sendable, Equatable {
    case manifest(Manifest)
    case index([Descriptor])

    /// Reads a document whose bytes have been checked against their digest.
    ///
    /// The media type under which it was found, the one it claims and its content must agree, so that no two
    /// readers can take one digest for two different images (CVE-2021-41190).
    /// - Parameter mediaType: as the descriptor has it; nil for the `index.json` of a layout.
    public init(parsing bytes: [UInt8], mediaType: String?, name: String) throws(OCIError) {
        let wire = try JSONDocument.decode(WireManifest.self, bytes, name: name)
        if wire.fsLayers != nil || wire.schemaVersion == 1 {
            throw .badDocument(name, reason: "a schema 1 manifest; push the image again with a current tool")
        }
        if wire.schemaVersion != 2 { throw .badDocument(name, reason: "schemaVersion is not 2") }
        if let mediaType, let claimed = wire.mediaType, claimed != mediaType {
            throw .badDocument(
                name, reason: "its media type is \(printable(claimed)), announced was \(printable(mediaType))"
            )
        }
        let isIndex = wire.manifests != nil
        let isManifest = wire.layers != nil || wire.config != nil
        if isIndex && isManifest { throw .badDocument(name, reason: "it is a manifest and an index at once") }
        let type = (mediaType ?? wire.mediaType).map { MediaType($0) }
        switch type {
        case .manifest where isManifest, .index where isIndex, nil: break
        case .manifest, .index: throw .badDocument(name, reason: "its content does not fit its media type")
        default: throw .unknownMediaType(mediaType ?? wire.mediaType ?? "", of: name)
        }
        self = isIndex ? try Self.index(wire, name) : try Self.manifest(wire, name)
    }

    private static func index(_ wire: WireManifest, _ name: String) throws(OCIError) -> ManifestDocument {
        var descriptors: [Descriptor] = []
        for entry in wire.manifests ?? [] { descriptors.append(try Descriptor(entry, in: name)) }
        return .index(descriptors)
    }

    private static func manifest(_ wire: WireManifest, _ name: String) throws(OCIError) -> ManifestDocument {
        guard let config = wire.config, let layers = wire.layers else {
            throw .badDocument(name, reason: "it is neither a manifest with config and layers nor an index")
        }
        if layers.count > Manifest.layerLimit {
            throw .limit(
                name, reason: "it has \(layers.count) layers; at most \(Manifest.layerLimit) are read")
        }
        var descriptors: [Descriptor] = []
        for layer in layers { descriptors.append(try Descriptor(layer, in: name)) }
        var subject: Descriptor?
        if let wireSubject = wire.subject { subject = try Descriptor(wireSubject, in: name) }
        return .manifest(
            Manifest(
                configuration: try Descriptor(config, in: name), layers: descriptors,
                artifactType: wire.artifactType?.isEmpty == true ? nil : wire.artifactType, subject: subject,
                annotations: wire.annotations ?? [:]))
    }
}

struct WireDescriptor: Codable {
    struct WirePlatform: Codable {
        let os: String?
        let architecture: String?
        let variant: String?
    }

    let mediaType: String?
    let digest: String?
    let size: Int64?
    let urls: [String]?
    let platform: WirePlatform?
    let annotations: [String: String]?
    let artifactType: String?
    let data: Data?
}

struct WireManifest: Codable {
    struct Ignored: Codable {}

    var schemaVersion: Int?
    var mediaType: String?
    var artifactType: String?
    var config: WireDescriptor?
    var layers: [WireDescriptor]?
    var manifests: [WireDescriptor]?
    var subject: WireDescriptor?
    var annotations: [String: String]?
    var fsLayers: [Ignored]?
}
