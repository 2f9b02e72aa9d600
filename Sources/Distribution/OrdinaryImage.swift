// SPDX-License-Identifier: Apache-2.0

import Base
public import OCI

/// An ordinary image of a registry: manifest and configuration have been read and checked, layers have not.
public struct OrdinaryImage: Sendable, Equatable {
    /// Names the manifest of this one image, not the index that led to it.
    public let descriptor: Descriptor
    public let manifest: Manifest
    public let configuration: ImageConfiguration
    /// The configuration as it came, byte for byte.
    public let configurationBytes: [UInt8]

    private static let indexDepthLimit = 4

    /// Reads what a tag or digest names, through an index if there is one; blocks.
    /// - Parameter platform: nil takes this machine's, or the only one there is.
    /// - Throws: `.notFound`, `.noSuchPlatform`, `.badDocument`, `.unknownMediaType` for what is no image, and
    ///   what the registry fails with.
    public static func resolve(
        _ selector: Reference.Selector, platform: Platform? = nil, in repository: Repository
    ) throws(OCIError) -> OrdinaryImage {
        let fetched = try repository.manifest(selector)
        return try resolve(
            try fetched.document(), fetched.descriptor, platform: platform, in: repository)
    }

    /// Goes on from a manifest or index that was fetched already.
    static func resolve(
        _ document: ManifestDocument, _ descriptor: Descriptor, platform: Platform?, in repository: Repository
    ) throws(OCIError) -> OrdinaryImage {
        var (document, descriptor) = (document, descriptor)
        for _ in 0...indexDepthLimit {
            switch document {
            case .manifest(let manifest):
                return try OrdinaryImage(descriptor, manifest, platform, repository)
            case .index(let entries):
                let chosen = try Platform.choose(entries, for: platform)
                let fetched = try repository.manifest(.digest(chosen.digest))
                if UInt64(fetched.bytes.count) != chosen.sizeBytes {
                    throw .sizeMismatch(
                        "\(chosen.digest)", expected: chosen.sizeBytes, actual: UInt64(fetched.bytes.count))
                }
                (document, descriptor) = (try fetched.document(), fetched.descriptor)
            }
        }
        throw .limit(
            "\(descriptor.digest)", reason: "indexes are nested deeper than \(indexDepthLimit) levels")
    }

    private init(
        _ descriptor: Descriptor, _ manifest: Manifest, _ platform: Platform?, _ repository: Repository
    ) throws(OCIError) {
        self.descriptor = descriptor
        self.manifest = manifest
        guard MediaType(manifest.configuration.mediaType) == .configuration else {
            throw .unknownMediaType(
                manifest.configuration.mediaType, of: "configuration of \(descriptor.digest)")
        }
        configurationBytes = try repository.blob(
            manifest.configuration.digest, sizeBytes: manifest.configuration.sizeBytes)
        configuration = try ImageConfiguration(
            parsing: configurationBytes, name: "\(manifest.configuration.digest)")
        if let platform, !configuration.platform.serves(platform) {
            throw .noSuchPlatform("\(platform)", available: ["\(configuration.platform)"])
        }
        let diffIDs = try configuration.checkedDiffIDs()
        if diffIDs.count != manifest.layers.count {
            let reason =
                "it has \(manifest.layers.count) layers, but its configuration names \(diffIDs.count)"
            throw .badDocument("\(descriptor.digest)", reason: reason)
        }
        for layer in manifest.layers { _ = try Self.compression(layer) }
    }

    /// Packed bytes of all layers.
    public var layerBytes: UInt64 { manifest.layers.reduce(0) { $0 + $1.sizeBytes } }

    /// The image with a way to its layers, for `Importer`.
    func resolved(through downloads: LayerDownloads) throws(OCIError) -> ResolvedImage {
        let diffIDs = try configuration.checkedDiffIDs()
        var layers: [LayerSource] = []
        for (index, layer) in manifest.layers.enumerated() {
            layers.append(
                LayerSource(
                    name: "\(layer.digest)", compression: try Self.compression(layer), digest: layer.digest,
                    diffID: diffIDs[index], sizeBytes: layer.sizeBytes,
                    open: { () throws(OCIError) in try downloads.open(index) }))
        }
        return ResolvedImage(
            configuration: configuration, configurationBytes: configurationBytes, layers: layers,
            manifestDigest: descriptor.digest)
    }

    private static func compression(_ layer: Descriptor) throws(OCIError) -> LayerCompression {
        switch MediaType(layer.mediaType) {
        case .layer(let compression): return compression
        case .foreignLayer: throw .foreignLayer("\(layer.digest)")
        default: throw .unknownMediaType(layer.mediaType, of: "layer \(layer.digest)")
        }
    }
}
