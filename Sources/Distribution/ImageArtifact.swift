// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import OCI

/// A block image as its manifest tells it.
struct ImageArtifact: Sendable, Equatable {
    /// A map blob.
    struct Map: Sendable, Equatable {
        let digest: Digest
        let sizeBytes: UInt64
        /// Bytes after decompression.
        let plainBytes: Int
    }

    let configuration: Descriptor
    /// A whole map, then differences, each to the one before it.
    let maps: [Map]
    /// The boot pack first, where there is one.
    let packs: [PackInfo]
    /// Bytes of the boot pack, from its front, that are worth fetching before the map is here; nil: not told.
    let bootBytes: UInt64?
    /// Digest of the block map that comes out.
    let mapDigest: Digest
    let subject: Descriptor?
    let annotations: [String: String]

    /// Packs in one image at most: a manifest has few hundred layers.
    static let maximumPacks = Manifest.layerLimit - MapBlob.maximumChain - 1
    /// Every annotation of ours begins like this.
    static let annotationPrefix = "vnd.slacker."
    private static let mapDigestKey = annotationPrefix + "map.digest"
    private static let plainBytesKey = annotationPrefix + "map.bytes"
    private static let bootBytesKey = annotationPrefix + "boot.bytes"
    private static let maximumConfigurationBytes: UInt64 = 4 << 20
    /// Bytes of a pack before its first chunk.
    static let packHeaderBytes: UInt64 = 16
    private static let minimumPackBytes = packHeaderBytes + UInt64(Pack.footerBytes)
}

extension ImageArtifact {
    /// The bytes of the manifest.
    func encode() throws(OCIError) -> [UInt8] {
        var layers: [Descriptor] = []
        for map in maps {
            layers.append(
                Descriptor(
                    mediaType: BlockImage.mapMediaType, digest: map.digest, sizeBytes: map.sizeBytes,
                    annotations: [Self.plainBytesKey: String(map.plainBytes)]))
        }
        for pack in packs {
            layers.append(
                Descriptor(
                    mediaType: BlockImage.packMediaType, digest: pack.digest, sizeBytes: pack.sizeBytes))
        }
        var annotations = annotations.filter { !$0.key.hasPrefix(Self.annotationPrefix) }
        annotations[Self.mapDigestKey] = mapDigest.description
        annotations[Self.bootBytesKey] = bootBytes.map(String.init)
        return try ManifestWriter.manifest(
            Manifest(
                configuration: configuration, layers: layers, artifactType: BlockImage.artifactType,
                subject: subject, annotations: annotations))
    }

    /// Reads a manifest that claims to be that of a block image.
    /// - Throws: a reason; nothing that breaks a rule of the format becomes an artifact.
    init(_ manifest: Manifest) throws(MapBlobError) {
        if manifest.artifactType != BlockImage.artifactType {
            throw MapBlobError("its artifact type is another one")
        }
        configuration = manifest.configuration
        if configuration.mediaType != MediaType.ociConfiguration
            || configuration.sizeBytes > Self.maximumConfigurationBytes
        {
            throw MapBlobError("its configuration has a strange type, or \(configuration.sizeBytes) bytes")
        }
        var maps: [Map] = []
        var packs: [PackInfo] = []
        for layer in manifest.layers {
            switch layer.mediaType {
            case BlockImage.mapMediaType where packs.isEmpty: maps.append(try Self.map(layer))
            case BlockImage.packMediaType: packs.append(try Self.pack(layer))
            default: throw MapBlobError("its layer \(layer.digest) has a type or a place that is unknown")
            }
        }
        if maps.isEmpty || maps.count > 1 + MapBlob.maximumChain {
            throw MapBlobError("it has \(maps.count) maps where 1 to \(1 + MapBlob.maximumChain) may be")
        }
        if maps.reduce(0, { $0 + $1.plainBytes }) > MapBlob.maximumPlainBytes {
            throw MapBlobError("its maps are larger than \(MapBlob.maximumPlainBytes) bytes")
        }
        if Set(packs.map(\.digest)).count != packs.count { throw MapBlobError("it names a pack twice") }
        guard let text = manifest.annotations[Self.mapDigestKey], text.hasPrefix("sha256:"),
            let digest = Digest(hex: text.dropFirst("sha256:".count))
        else { throw MapBlobError("it does not give the digest of its map") }
        self.maps = maps
        self.packs = packs
        bootBytes = try Self.bootBytes(manifest.annotations[Self.bootBytesKey], packs)
        mapDigest = digest
        subject = manifest.subject
        annotations = manifest.annotations
    }

    private static func map(_ layer: Descriptor) throws(MapBlobError) -> Map {
        // A frame of bytes that do not shrink is longer than they are by little.
        guard let text = layer.annotations[plainBytesKey], let plain = Int(text), plain > 0,
            plain <= MapBlob.maximumPlainBytes, layer.sizeBytes <= UInt64(plain + plain / 64 + 1024)
        else { throw MapBlobError("the length of its map \(layer.digest) is missing or too great") }
        return Map(digest: layer.digest, sizeBytes: layer.sizeBytes, plainBytes: plain)
    }

    private static func bootBytes(_ text: String?, _ packs: [PackInfo]) throws(MapBlobError) -> UInt64? {
        guard let text else { return nil }
        guard let count = UInt64(text), let boot = packs.first, count > packHeaderBytes,
            count <= boot.sizeBytes - UInt64(Pack.footerBytes)
        else { throw MapBlobError("its boot pack does not have the \(text.prefix(20)) bytes that it names") }
        return count
    }

    private static func pack(_ layer: Descriptor) throws(MapBlobError) -> PackInfo {
        if layer.sizeBytes < minimumPackBytes || layer.sizeBytes > PackInfo.maximumBytes {
            throw MapBlobError("its pack \(layer.digest) has \(layer.sizeBytes) bytes")
        }
        return PackInfo(digest: layer.digest, sizeBytes: layer.sizeBytes)
    }

    /// The descriptor by which a map blob is fetched.
    static func descriptor(of map: Map) -> Descriptor {
        Descriptor(mediaType: BlockImage.mapMediaType, digest: map.digest, sizeBytes: map.sizeBytes)
    }
}
