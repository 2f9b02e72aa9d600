// SPDX-License-Identifier: Apache-2.0

public import OCI

/// Whether a reference would be pulled lazily, and if not why.
public enum BlockImageLookup: Sendable {
    /// It names a block image.
    case block
    /// A block image is attached to the ordinary image that it names.
    case attached
    /// It names an ordinary image without block image.
    case ordinary
    /// There is one, but the policy does not trust its place.
    case untrusted
    /// The registry has nothing of that name.
    case missing

    /// Asks the registry; blocks.
    public static func find(
        _ reference: Reference, platform: Platform? = nil, policy: BlockImagePolicy,
        in registry: RegistryClient
    ) throws(DistributionError) -> BlockImageLookup {
        let remote = RemoteReference.registry(reference)
        let host = RegistryHost(registry.repository(reference))
        guard let hosted = try host.manifest(remote) else { return .missing }
        let document: ManifestDocument
        do throws(OCIError) {
            document = try ManifestDocument(
                parsing: hosted.bytes, mediaType: hosted.mediaType, name: "\(reference)")
        } catch {
            throw .registry(error)
        }
        let isTrusted = policy.isTrusted(remote)
        var subject = hosted.digest
        switch document {
        case .manifest(let manifest) where manifest.artifactType == BlockImage.artifactType:
            return isTrusted ? .block : .untrusted
        case .manifest: break
        case .index(let entries):
            guard let entry = try? Platform.choose(entries, for: platform) else { return .ordinary }
            subject = entry.digest
        }
        if try host.attached(to: subject).isEmpty { return .ordinary }
        return isTrusted ? .attached : .untrusted
    }
}
