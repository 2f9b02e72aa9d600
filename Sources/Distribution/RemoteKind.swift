// SPDX-License-Identifier: Apache-2.0

import Base
public import OCI

/// What a pull of a reference would find, without pulling it.
public enum RemoteKind: Sendable, Equatable {
    /// A block image.
    case block
    /// An ordinary image with so many block images attached to it.
    case ordinary(attached: Int)
    case absent

    /// Asks the place; blocks.
    public static func find(
        _ reference: RemoteReference, platform: Platform? = nil, clients: DistributionClients
    ) throws(DistributionError) -> RemoteKind {
        let host = try clients.host(of: reference)
        guard let hosted = try host.manifest(reference) else { return .absent }
        let document = try Step.registry { () throws(OCIError) in
            try ManifestDocument(parsing: hosted.bytes, mediaType: hosted.mediaType, name: "\(reference)")
        }
        switch document {
        case .manifest(let manifest) where manifest.artifactType == BlockImage.artifactType: return .block
        case .manifest: return .ordinary(attached: try host.attached(to: hosted.digest).count)
        case .index(let entries):
            guard let entry = try? Platform.choose(entries, for: platform) else {
                return .ordinary(attached: 0)
            }
            return .ordinary(attached: try host.attached(to: entry.digest).count)
        }
    }
}
