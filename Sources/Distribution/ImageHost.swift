// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import OCI

/// A manifest as it lies on the other side.
struct HostedManifest: Sendable {
    let bytes: [UInt8]
    /// As announced; nil where nobody announces it.
    let mediaType: String?
    let digest: Digest
}

/// What a blob of a block image is.
enum BlobKind: Sendable {
    case pack, map, configuration
}

/// The other side of a push or pull: one repository of a registry, or one place that holds objects.
///
/// Every method blocks and may be called from several threads at once. What it returns has been checked
/// against its digest, and against nothing else.
protocol ImageHost: Sendable {
    /// The URI of the source that packs come from.
    var sourceURI: String { get }

    /// The configuration is a blob of its own; else the manifest carries it.
    var storesConfiguration: Bool { get }

    /// Throws `readOnlyPlace` where nothing can be pushed to.
    func requireWritable() throws(DistributionError)

    /// What lies under the name or tag, or under the digest where one is given; nil when there is none.
    func manifest(_ reference: RemoteReference) throws(DistributionError) -> HostedManifest?

    /// Manifests of block images that are attached to another manifest.
    func attached(to digest: Digest) throws(DistributionError) -> [Descriptor]

    func blob(_ kind: BlobKind, _ descriptor: Descriptor) throws(DistributionError) -> [UInt8]

    func has(_ kind: BlobKind, _ digest: Digest, sizeBytes: UInt64) throws(DistributionError) -> Bool

    /// Makes a blob of another source available here without sending it; false when that cannot be.
    func adopt(_ digest: Digest, from sourceURI: String) throws(DistributionError) -> Bool

    /// Sends a blob that is not there: `has` has just said so.
    func send(
        _ kind: BlobKind, _ digest: Digest, from file: File, sizeBytes: UInt64,
        progress: @escaping @Sendable (UInt64) -> Void, isCancelled: @escaping CancellationCheck
    ) throws(DistributionError)

    func send(_ kind: BlobKind, _ bytes: [UInt8]) throws(DistributionError)

    /// Makes the image visible: under the reference's name, or attached to a subject.
    func publish(
        _ manifest: [UInt8], _ reference: RemoteReference, subject: Descriptor?
    ) throws(DistributionError) -> Digest
}
