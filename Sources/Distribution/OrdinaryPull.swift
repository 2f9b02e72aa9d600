// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Flatten
import HTTP
import OCI
import Volumes

/// One pull of an ordinary image: its layers are flattened while they arrive.
struct OrdinaryPull {
    let reference: Reference
    /// What the image is called here.
    let name: String
    let options: PullOptions
    let clients: DistributionClients
    let meter: ProgressMeter
    let isCancelled: CancellationCheck

    /// What came of it, and the manifest of the ordinary image, to which a block image may be attached.
    struct Outcome {
        var report: PullReport
        let manifest: Descriptor
    }

    /// Goes on from a manifest or index that the registry gave for the reference.
    func run(_ hosted: HostedManifest) throws(DistributionError) -> Outcome {
        let start = MonotonicTime.now
        let repository = clients.registry.repository(reference)
        let image: OrdinaryImage
        do throws(OCIError) {
            let document = try ManifestDocument(
                parsing: hosted.bytes, mediaType: hosted.mediaType, name: "\(reference)")
            let descriptor = Descriptor(
                mediaType: hosted.mediaType ?? MediaType.ociManifest, digest: hosted.digest,
                sizeBytes: UInt64(hosted.bytes.count))
            image = try OrdinaryImage.resolve(
                document, descriptor, platform: options.platform, in: repository)
        } catch {
            throw Self.wrap(error)
        }
        let record = try flatten(image, repository)
        if let digest = record.digest, let pinned = reference.pinned(to: image.descriptor.digest) {
            OrdinaryOrigins(root: clients.store.root).note(pinned, for: digest)
        }
        var report = PullReport(
            image: record, kind: .ordinary, reference: pinnedText(image), digest: image.descriptor.digest)
        report.fetchedBytes =
            UInt64(hosted.bytes.count + image.configurationBytes.count) + image.layerBytes
        report.seconds = MonotonicTime.now.seconds(since: start)
        return Outcome(report: report, manifest: image.descriptor)
    }

    private func pinnedText(_ image: OrdinaryImage) -> String {
        "\(reference.pinned(to: image.descriptor.digest) ?? reference)"
    }

    /// After a failure no thread is left that reads, and nothing of the image is.
    private func flatten(
        _ image: OrdinaryImage, _ repository: Repository
    ) throws(DistributionError) -> ImageRecord {
        meter.begin(.layers, totalBytes: image.layerBytes)
        let downloads = LayerDownloads(
            image.manifest.layers, scratch: clients.store.root + "/incoming",
            from: { layer throws(OCIError) in try repository.openBlob(layer, group: .boot) },
            progress: { [meter] count in meter.add(count) })
        defer { downloads.stop() }
        let session = clients.store.chunks.beginIngest()
        defer { session.release() }
        let flattened: FlattenedImage
        do {
            flattened = try Importer.run(
                try image.resolved(through: downloads), into: session, limits: clients.importLimits,
                isCancelled: isCancelled)
        } catch let error as FlattenError {
            throw Self.wrap(error)
        } catch let error as OCIError {
            throw Self.wrap(error)
        } catch {
            throw .remote("\(reference)", reason: "\(error)")
        }
        if isCancelled() { throw .cancelled }
        meter.begin(.publishing)
        let map = EncodedBlockMap(flattened.map)
        do throws(VolumeError) {
            if let known = try? clients.store.image(named: name), known.digest == map.digest,
                known.configuration == flattened.configurationBytes
            {
                return known
            }
            return try clients.store.addImage(
                name: name, map: map, places: nil, sources: [],
                configuration: flattened.configurationBytes, source: pinnedText(image), session: session,
                replacing: options.replacesExisting)
        } catch {
            throw .volumes(error)
        }
    }

    static func wrap(_ error: OCIError) -> DistributionError {
        if case .stopped = error { return .cancelled }
        return .registry(error)
    }

    private static func wrap(_ error: FlattenError) -> DistributionError {
        switch error {
        case .image(let error): wrap(error)
        case .cancelled: .cancelled
        default: .flatten(error)
        }
    }
}

/// Which ordinary images show the same tree as block maps of this machine: bases of layers that are pushed.
///
/// Hints, like those of artifacts: whoever uses one asks the registry.
struct OrdinaryOrigins {
    private let hints: ArtifactHints

    init(root: String) {
        hints = ArtifactHints(root: root, name: "ordinary-images")
    }

    /// - Parameter manifest: with the digest of the image's own manifest.
    func note(_ manifest: Reference, for map: Digest) {
        hints.add(.registry(manifest), for: [map])
    }

    /// The newest first.
    func manifests(of map: Digest) -> [Reference] {
        hints.references(of: [map]).compactMap { reference in
            guard case .registry(let image) = reference, image.digest != nil else { return nil }
            return image
        }
    }
}
