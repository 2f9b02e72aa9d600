// SPDX-License-Identifier: Apache-2.0

import Base

/// An OCI image layout (image-layout.md of the specification), in a directory or in an archive.
struct Layout {
    let place: any BlobPlace
    let tag: String?

    /// An index may name an index, and that one a third.
    private static let indexDepthLimit = 3
    /// The keys under which tools keep the tag or the full name of an image.
    private static let nameKeys = ["org.opencontainers.image.ref.name", "io.containerd.image.name"]

    func resolve(_ platform: Platform?) throws(OCIError) -> ResolvedImage {
        guard try place.content(of: "oci-layout") != nil, let index = try place.content(of: "index.json")
        else {
            throw .missing("oci-layout and index.json", in: place.name)
        }
        let name = place.name + "/index.json"
        let root = try ManifestDocument(parsing: try index.document(name), mediaType: nil, name: name)
        guard case .index(let all) = root else { throw .badDocument(name, reason: "it is not an index") }
        let candidates = try tagged(all)
        let manifest = try choose(candidates, platform, depth: 1)
        return try image(manifest, platform)
    }

    /// The entries that carry the tag; all of them, if they are of one image, where none was asked for.
    private func tagged(_ all: [Descriptor]) throws(OCIError) -> [Descriptor] {
        func names(_ descriptor: Descriptor) -> [String] {
            Self.nameKeys.compactMap { descriptor.annotations[$0] }
        }
        let available = Set(all.flatMap(names)).sorted()
        guard let tag else {
            if Set(all.compactMap { names($0).first }).count > 1, Set(all.map(\.digest)).count > 1 {
                throw .ambiguous(place.name, available: available)
            }
            return all
        }
        let found = all.filter { names($0).contains { $0 == tag || $0.hasSuffix(":" + tag) } }
        let exact = all.filter { names($0).contains(tag) }
        if found.isEmpty { throw .noSuchTag(tag, in: place.name, available: available) }
        return exact.isEmpty ? found : exact
    }

    /// Goes down through indexes to the one manifest for the platform.
    private func choose(
        _ candidates: [Descriptor], _ platform: Platform?, depth: Int
    ) throws(OCIError) -> Descriptor {
        if depth > Self.indexDepthLimit {
            throw .limit(place.name, reason: "indexes are nested deeper than \(Self.indexDepthLimit) levels")
        }
        let chosen = try Platform.choose(candidates, for: platform)
        switch MediaType(chosen.mediaType) {
        case .manifest: return chosen
        case .index:
            let bytes = try place.document(chosen)
            let name = "\(chosen.digest)"
            let document = try ManifestDocument(parsing: bytes, mediaType: chosen.mediaType, name: name)
            guard case .index(let inner) = document else {
                throw .badDocument(name, reason: "it is not an index")
            }
            return try choose(inner, platform, depth: depth + 1)
        default: throw .unknownMediaType(chosen.mediaType, of: "\(chosen.digest)")
        }
    }

    private func image(_ descriptor: Descriptor, _ platform: Platform?) throws(OCIError) -> ResolvedImage {
        let name = "\(descriptor.digest)"
        let bytes = try place.document(descriptor)
        let document = try ManifestDocument(parsing: bytes, mediaType: descriptor.mediaType, name: name)
        guard case .manifest(let manifest) = document else {
            throw .badDocument(name, reason: "it is not a manifest")
        }
        guard MediaType(manifest.configuration.mediaType) == .configuration else {
            throw .unknownMediaType(manifest.configuration.mediaType, of: "configuration of \(name)")
        }
        let configurationBytes = try place.document(manifest.configuration)
        let configuration = try ImageConfiguration(
            parsing: configurationBytes, name: "\(manifest.configuration.digest)")
        try check(configuration, serves: platform)
        return ResolvedImage(
            configuration: configuration, configurationBytes: configurationBytes,
            layers: try layers(manifest, configuration, name), manifestDigest: descriptor.digest)
    }

    private func layers(
        _ manifest: Manifest, _ configuration: ImageConfiguration, _ name: String
    ) throws(OCIError) -> [LayerSource] {
        let diffIDs = try configuration.checkedDiffIDs()
        if diffIDs.count != manifest.layers.count {
            let reason =
                "it has \(manifest.layers.count) layers, but its configuration names \(diffIDs.count)"
            throw .badDocument(name, reason: reason)
        }
        var layers: [LayerSource] = []
        for (descriptor, diffID) in zip(manifest.layers, diffIDs) {
            let compression = try Self.compression(descriptor)
            layers.append(
                LayerSource(
                    name: "\(descriptor.digest)", compression: compression, digest: descriptor.digest,
                    diffID: diffID, content: try place.blob(descriptor)))
        }
        return layers
    }

    private static func compression(_ layer: Descriptor) throws(OCIError) -> LayerCompression {
        switch MediaType(layer.mediaType) {
        case .layer(let compression): return compression
        case .foreignLayer: throw .foreignLayer("\(layer.digest)")
        default: throw .unknownMediaType(layer.mediaType, of: "layer \(layer.digest)")
        }
    }
}
