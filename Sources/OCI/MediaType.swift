// SPDX-License-Identifier: Apache-2.0

/// What a blob holds, from the media types of the OCI image specification and of Docker's schema 2.
public enum MediaType: Hashable, Sendable {
    case index
    case manifest
    case configuration
    case layer(LayerCompression)
    /// A layer that is not distributed with the image.
    case foreignLayer
    case other(String)

    public init(_ text: String) {
        self =
            switch text {
            case "application/vnd.oci.image.index.v1+json",
                "application/vnd.docker.distribution.manifest.list.v2+json":
                .index
            case "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json":
                .manifest
            case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
                .configuration
            case "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar":
                .layer(.none)
            case "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.docker.image.rootfs.diff.tar.gzip":
                .layer(.gzip)
            case "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/vnd.docker.image.rootfs.diff.tar.zstd":
                .layer(.zstd)
            case _ where text.contains(".layer.nondistributable.") || text.contains(".rootfs.foreign."):
                .foreignLayer
            default: .other(text)
            }
    }
}

extension MediaType {
    public static let ociIndex = "application/vnd.oci.image.index.v1+json"
    public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    public static let ociConfiguration = "application/vnd.oci.image.config.v1+json"
    /// Of a blob that holds `{}`, for artifacts that have no configuration.
    public static let ociEmpty = "application/vnd.oci.empty.v1+json"
    static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

    /// What a registry may answer when a manifest is asked for, the best first.
    static let acceptedManifests = [ociIndex, ociManifest, dockerIndex, dockerManifest]
}

/// How the tar of a layer is packed.
public enum LayerCompression: String, Hashable, Sendable {
    case none
    case gzip
    case zstd

    /// What the first bytes of a file look like: RFC 1952 section 2.3.1, RFC 8878 section 3.1.1 and 3.1.2.
    public init(sniffing bytes: [UInt8]) {
        let isSkippable =
            bytes.count >= 4 && bytes[0] & 0xF0 == 0x50 && bytes[1...3].elementsEqual([0x2A, 0x4D, 0x18])
        if bytes.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if bytes.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) || isSkippable {
            self = .zstd
        } else {
            self = .none
        }
    }
}
