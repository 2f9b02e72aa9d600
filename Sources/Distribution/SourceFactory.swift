// SPDX-License-Identifier: Apache-2.0

import Base
public import ChunkStore
public import HTTP
public import OCI

/// How places other than registries are reached.
public struct SourceSettings: Sendable {
    /// Of S3 and HTTP places.
    public var tls: TLSOptions
    /// For every bucket; nil looks for them where the AWS tools do.
    public var s3Credentials: S3Credentials?

    public init(tls: TLSOptions = .init(), s3Credentials: S3Credentials? = nil) {
        self.tls = tls
        self.s3Credentials = s3Credentials
    }
}

/// Makes sources of packs from their URIs, each once: `registry:HOST/REPOSITORY`, `s3://BUCKET/PREFIX?…`,
/// `http(s)://HOST/PATH/`, `dir:PATH`.
public final class SourceFactory: Sendable {
    private let loop: TransferLoop
    private let registry: RegistryClient
    private let settings: SourceSettings
    private let sources = Lock<[String: any PackSource]>([:])
    private let places = Lock<[String: ObjectPlace]>([:])

    public init(loop: TransferLoop, registry: RegistryClient, settings: SourceSettings = .init()) {
        self.loop = loop
        self.registry = registry
        self.settings = settings
    }

    /// The source; nil for a URI that makes no sense.
    ///
    /// Asks nobody, and does not block for long.
    public func source(uri: String) -> (any PackSource)? {
        if let source = sources.withLock({ $0[uri] }) { return source }
        do throws(DistributionError) {
            let made = try make(uri)
            // Two threads may have made one each: all use the first.
            return sources.withLock { known in
                if let source = known[uri] { return source }
                known[uri] = made
                return made
            }
        } catch {
            Log.warning("fetch", "a source cannot be used", ["source": uri, "because": "\(error)"])
            return nil
        }
    }

    private func make(_ uri: String) throws(DistributionError) -> any PackSource {
        guard uri.hasPrefix(RegistryHost.scheme) else { return try objects(at: uri).source }
        guard let reference = RegistryHost.repository(uri: uri) else {
            throw .badReference(uri, reason: "a registry's source is registry:HOST/REPOSITORY")
        }
        return HTTPPackSource(loop: loop, provider: RegistryRequests(registry.repository(reference)))
    }

    /// The place behind a URI that is not a registry's.
    func objects(at uri: String) throws(DistributionError) -> ObjectPlace {
        if let place = places.withLock({ $0[uri] }) { return place }
        do throws(ChunkStoreError) {
            let made = try ObjectPlace(uri, loop, settings)
            return places.withLock { known in
                if let place = known[uri] { return place }
                known[uri] = made
                return made
            }
        } catch {
            throw .chunks(error)
        }
    }
}

/// A place that holds objects by name and by digest.
struct ObjectPlace: Sendable {
    let backend: any Backend & NamedObjects
    let source: any PackSource
    let isWritable: Bool

    init(_ uri: String, _ loop: TransferLoop, _ settings: SourceSettings) throws(ChunkStoreError) {
        if uri.hasPrefix("s3://") {
            var location = try S3Location(uri: uri)
            location.tls = settings.tls
            location.credentials = settings.s3Credentials
            let bucket = S3Backend(location, loop: loop)
            backend = bucket
            source = bucket.packSource()
            isWritable = true
        } else if uri.hasPrefix("dir:/") {
            let directory = try DirectoryBackend(directory: String(uri.dropFirst("dir:".count)))
            backend = directory
            source = directory.packSource()
            isWritable = true
        } else {
            let server = try HTTPBackend(url: uri, loop: loop, tls: settings.tls)
            backend = server
            source = server.packSource()
            isWritable = false
        }
    }
}

/// Requests for packs that are blobs of a repository.
private final class RegistryRequests: HTTPRequestProvider {
    private let repository: Repository

    init(_ repository: Repository) {
        self.repository = repository
    }

    var name: String { repository.registry + "/" + repository.name }

    func request(for object: ObjectName) throws(SourceFailure) -> (Request, TransferOptions) {
        do throws(OCIError) {
            return try repository.blobRequest(object.digest)
        } catch {
            switch error {
            case .denied: throw .denied("\(error)")
            case .notFound: throw .missing("\(error)")
            default: throw .unavailable("\(error)", retryAfterMs: nil)
            }
        }
    }

    func rejected(_ object: ObjectName, status: Int) {
        repository.invalidate(object.digest, afterStatus: status)
    }
}
