// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials

/// Writes manifests and indexes of the OCI image specification, always the same bytes for the same content.
///
/// Keys are sorted, no space stands between them, and members without a value are left out.
public enum ManifestWriter {
    /// The bytes of an image manifest, of media type `MediaType.ociManifest`.
    public static func manifest(_ manifest: Manifest) throws(OCIError) -> [UInt8] {
        try encode(
            WireManifest(
                schemaVersion: 2, mediaType: MediaType.ociManifest, artifactType: manifest.artifactType,
                config: wire(manifest.configuration), layers: manifest.layers.map(wire),
                subject: manifest.subject.map(wire), annotations: present(manifest.annotations)))
    }

    /// The bytes of an image index, of media type `MediaType.ociIndex`.
    public static func index(
        _ manifests: [Descriptor], artifactType: String? = nil, subject: Descriptor? = nil,
        annotations: [String: String] = [:]
    ) throws(OCIError) -> [UInt8] {
        try encode(
            WireManifest(
                schemaVersion: 2, mediaType: MediaType.ociIndex, artifactType: artifactType,
                manifests: manifests.map(wire), subject: subject.map(wire), annotations: present(annotations))
        )
    }

    private static func encode(_ document: WireManifest) throws(OCIError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes: [UInt8]
        do {
            bytes = [UInt8](try encoder.encode(document))
        } catch {
            throw .badDocument(document.mediaType ?? "", reason: "it cannot be written: \(error)")
        }
        if bytes.count > JSONDocument.limitBytes {
            let reason = "it has \(bytes.count) bytes; registries take at most \(JSONDocument.limitBytes)"
            throw .limit(document.mediaType ?? "", reason: reason)
        }
        return bytes
    }

    private static func wire(_ descriptor: Descriptor) -> WireDescriptor {
        WireDescriptor(
            mediaType: descriptor.mediaType, digest: "\(descriptor.digest)",
            size: Int64(clamping: descriptor.sizeBytes), urls: nil,
            platform: descriptor.platform.map {
                .init(os: $0.os, architecture: $0.architecture, variant: $0.variant)
            },
            annotations: present(descriptor.annotations), artifactType: descriptor.artifactType,
            data: descriptor.data.map { Data($0) })
    }

    private static func present(_ annotations: [String: String]) -> [String: String]? {
        annotations.isEmpty ? nil : annotations
    }
}
