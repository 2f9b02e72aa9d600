// SPDX-License-Identifier: Apache-2.0

import Base
import OCI

/// A repository of a registry as the other side of a push or pull.
struct RegistryHost: ImageHost {
    private let repository: Repository

    static let scheme = "registry:"
    var storesConfiguration: Bool { true }
    var sourceURI: String { Self.scheme + repository.registry + "/" + repository.name }

    init(_ repository: Repository) {
        self.repository = repository
    }

    /// The text behind `registry:` as a reference to a repository; nil for another URI.
    static func repository(uri: String) -> Reference? {
        guard uri.hasPrefix(scheme), let slash = uri.dropFirst(scheme.count).firstIndex(of: "/") else {
            return nil
        }
        let registry = String(uri.dropFirst(scheme.count)[..<slash])
        return try? Reference(registry: registry, repository: String(uri[uri.index(after: slash)...]))
    }

    func requireWritable() {}

    func manifest(_ reference: RemoteReference) throws(DistributionError) -> HostedManifest? {
        guard case .registry(let reference) = reference else { return nil }
        do throws(OCIError) {
            let fetched = try repository.manifest(reference.selector)
            return HostedManifest(bytes: fetched.bytes, mediaType: fetched.mediaType, digest: fetched.digest)
        } catch {
            if case .notFound = error { return nil }
            throw Self.wrap(error)
        }
    }

    func attached(to digest: Digest) throws(DistributionError) -> [Descriptor] {
        try Self.wrapping { () throws(OCIError) in
            try repository.referrers(of: digest, artifactType: BlockImage.artifactType)
        }
    }

    func blob(_ kind: BlobKind, _ descriptor: Descriptor) throws(DistributionError) -> [UInt8] {
        try Self.wrapping { () throws(OCIError) in
            try repository.blob(descriptor.digest, sizeBytes: descriptor.sizeBytes)
        }
    }

    func has(_ kind: BlobKind, _ digest: Digest, sizeBytes: UInt64) throws(DistributionError) -> Bool {
        try Self.wrapping { () throws(OCIError) in try repository.blobSize(digest) == sizeBytes }
    }

    func adopt(_ digest: Digest, from sourceURI: String) throws(DistributionError) -> Bool {
        guard let other = Self.repository(uri: sourceURI), other.registry == repository.registry else {
            return false
        }
        do throws(OCIError) {
            return try repository.mount(digest, from: other.repository)
        } catch {
            // It is a short cut: whatever keeps us from taking it, the blob can be sent.
            if case .stopped = error { throw .cancelled }
            Log.info("push", "a blob cannot be mounted", ["blob": "\(digest)", "because": "\(error)"])
            return false
        }
    }

    func send(
        _ kind: BlobKind, _ digest: Digest, from file: File, sizeBytes: UInt64,
        progress: @escaping @Sendable (UInt64) -> Void, isCancelled: @escaping CancellationCheck
    ) throws(DistributionError) {
        try Self.wrapping { () throws(OCIError) in
            try repository.upload(
                digest, from: file, offset: 0, count: sizeBytes, isKnownAbsent: true, progress: progress,
                isCancelled: isCancelled)
        }
    }

    func send(_ kind: BlobKind, _ bytes: [UInt8]) throws(DistributionError) {
        try Self.wrapping { () throws(OCIError) in
            try repository.upload(Digest(hashing: bytes), bytes: bytes)
        }
    }

    func publish(
        _ manifest: [UInt8], _ reference: RemoteReference, subject: Descriptor?
    ) throws(DistributionError) -> Digest {
        guard case .registry(let reference) = reference else {
            throw .badReference("\(reference)", reason: "it does not name a repository")
        }
        return try Self.wrapping { () throws(OCIError) in
            guard let subject else {
                return try repository.putManifest(
                    manifest, mediaType: MediaType.ociManifest, as: reference.tag)
            }
            return try repository.attach(manifest, subject: subject.digest)
        }
    }

    private static func wrapping<T>(_ body: () throws(OCIError) -> T) throws(DistributionError) -> T {
        do throws(OCIError) { return try body() } catch { throw wrap(error) }
    }

    private static func wrap(_ error: OCIError) -> DistributionError {
        if case .stopped = error { return .cancelled }
        return .registry(error)
    }
}
