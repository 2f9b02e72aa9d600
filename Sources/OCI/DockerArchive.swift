// SPDX-License-Identifier: Apache-2.0

import Base

/// What `docker save` writes: a tar with a `manifest.json` that names a configuration and layers by file name.
///
/// Older versions put each layer in a directory of its own, newer ones in a layout's `blobs`; the names in
/// `manifest.json` are right for both. Layers are plain there by custom, but may be packed; the bytes tell.
struct DockerArchive {
    static let manifestName = "manifest.json"

    let place: any BlobPlace
    let tag: String?

    private struct Entry: Decodable {
        let config: String?
        let repoTags: [String]?
        let layers: [String]?

        enum CodingKeys: String, CodingKey {
            case config = "Config"
            case repoTags = "RepoTags"
            case layers = "Layers"
        }
    }

    func resolve(_ platform: Platform?) throws(OCIError) -> ResolvedImage {
        guard let content = try place.content(of: Self.manifestName) else {
            throw .missing(Self.manifestName, in: place.name)
        }
        let name = place.name + "/" + Self.manifestName
        let entries = try JSONDocument.decode([Entry].self, try content.document(name), name: name)
        let entry = try choose(entries)
        guard let configName = entry.config, let layerNames = entry.layers else {
            throw .badDocument(name, reason: "it has no Config or no Layers")
        }
        guard let config = try place.content(of: configName) else {
            throw .missing(configName, in: place.name)
        }
        let bytes = try config.document(configName)
        try check(configName, against: bytes)
        let configuration = try ImageConfiguration(parsing: bytes, name: configName)
        try OCI.check(configuration, serves: platform)
        let layers = try layers(layerNames, try configuration.checkedDiffIDs(), name)
        return ResolvedImage(configuration: configuration, configurationBytes: bytes, layers: layers)
    }

    private func choose(_ entries: [Entry]) throws(OCIError) -> Entry {
        let available = entries.flatMap { $0.repoTags ?? [] }
        if let tag {
            let wanted = try Reference(parsing: tag)
            for entry in entries {
                for name in entry.repoTags ?? [] {
                    if name == tag { return entry }
                    if try Reference(parsing: name) == wanted { return entry }
                }
            }
            throw .noSuchTag(tag, in: place.name, available: available)
        }
        guard let first = entries.first else { throw .missing("image", in: place.name) }
        if entries.count > 1 { throw .ambiguous(place.name, available: available) }
        return first
    }

    /// The configuration's file is named by its digest; a name of another form promises nothing.
    private func check(_ name: String, against bytes: [UInt8]) throws(OCIError) {
        let base = name.split(separator: "/").last ?? ""
        let stem = base.hasSuffix(".json") ? base.dropLast(5) : base
        guard let expected = Digest(hex: stem) else { return }
        let actual = Digest(hashing: bytes)
        if actual != expected { throw .digestMismatch("\(expected)", actual: "\(actual)") }
    }

    private func layers(
        _ names: [String], _ diffIDs: [Digest], _ document: String
    ) throws(OCIError) -> [LayerSource] {
        if names.count != diffIDs.count {
            let reason = "it has \(names.count) layers, but the configuration names \(diffIDs.count)"
            throw .badDocument(document, reason: reason)
        }
        var layers: [LayerSource] = []
        for (name, diffID) in zip(names, diffIDs) {
            guard let content = try place.content(of: name) else { throw .missing(name, in: place.name) }
            let compression = LayerCompression(sniffing: try content.prefix(16))
            layers.append(
                LayerSource(
                    name: "\(diffID)", compression: compression, digest: compression == .none ? diffID : nil,
                    diffID: diffID, content: content))
        }
        return layers
    }
}
