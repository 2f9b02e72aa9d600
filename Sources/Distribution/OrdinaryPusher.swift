// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
public import Flatten
public import OCI
import Volumes

/// What a push as an ordinary image did.
public struct OrdinaryPushReport: Sendable, Equatable {
    /// The manifest; a block image may be attached to it.
    public let manifest: Descriptor
    /// With the manifest's digest.
    public let reference: String
    /// The ordinary image whose layers are below; nil when the whole tree became one layer.
    public let base: String?
    public let layerCount: Int
    /// The layer that was made; nil when nothing differs from the base.
    public let layer: ExportedLayer?
    /// Blobs that the other side had, or took from another of its repositories, and bytes that were sent.
    public var reusedBlobs = 0
    public var sentBytes: UInt64 = 0
    public var seconds: Double = 0
}

/// Pushes an image of this machine in the form that every container engine knows.
public enum OrdinaryPusher {
    /// Sends the image as layers under the reference's tag; blocks.
    ///
    /// Where the image, or one that it was made on, came from a registry as an ordinary image or went to one, that
    /// one's layers stay and what changed becomes one layer on top; otherwise the whole tree is one layer.
    /// - Parameter compression: of the layer; gzip is what every engine reads.
    /// - Throws: `.volumes` when there is no such image, `.flatten` for what no layer can hold and for a file system
    ///   whose journal is not replayed, `.unreachableChunks`, `.registry`, `.system`, `.cancelled`.
    public static func push(
        image: String, to reference: Reference, compression: LayerCompression = .gzip,
        clients: DistributionClients, progress: @escaping ProgressHandler = { _ in },
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> OrdinaryPushReport {
        guard reference.tag != nil, reference.digest == nil else {
            throw .badReference("\(reference)", reason: "an image is pushed to a tag, not to a digest")
        }
        return try OrdinaryPushJob(
            image: image, reference: reference, compression: compression, clients: clients,
            meter: ProgressMeter(progress), isCancelled: isCancelled
        ).run()
    }

    /// Pushes the image in both forms: the ordinary one under the tag, and the block image attached to it.
    ///
    /// Throws as the two pushes do; after a failure of the second the ordinary image is there.
    public static func pushBoth(
        image: String, to reference: Reference, compression: LayerCompression = .gzip,
        options: PushOptions = PushOptions(), clients: DistributionClients,
        progress: @escaping ProgressHandler = { _ in },
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> (ordinary: OrdinaryPushReport, block: PushReport) {
        let ordinary = try push(
            image: image, to: reference, compression: compression, clients: clients, progress: progress,
            isCancelled: isCancelled)
        var options = options
        options.subject = ordinary.manifest
        let block = try Pusher.push(
            image: image, to: .registry(reference), options: options, clients: clients, progress: progress,
            isCancelled: isCancelled)
        return (ordinary, block)
    }
}

/// One push of an image as an ordinary one.
struct OrdinaryPushJob {
    let image: String
    let reference: Reference
    let compression: LayerCompression
    let clients: DistributionClients
    let meter: ProgressMeter
    let isCancelled: CancellationCheck

    private static let copiesAtOnce = 4
    private var scratch: String { clients.store.root + "/outgoing" }

    func run() throws(DistributionError) -> OrdinaryPushReport {
        let start = MonotonicTime.now
        meter.begin(.resolving)
        let resident: ResidentMap
        let record: ImageRecord
        do throws(VolumeError) {
            // Waits for the seal, so that the record has its digests.
            resident = try clients.store.residentMap(ofImage: image)
            record = try clients.store.image(named: image)
        } catch {
            throw .volumes(error)
        }
        let base = try OrdinaryBase.find(for: record, preferring: reference.registry, clients)
        let target = clients.registry.repository(reference)
        var report: OrdinaryPushReport
        if let base, base.tree == nil, record.configuration == base.image.configurationBytes {
            report = try copy(base, to: target)
        } else {
            report = try make(record, resident, base, target)
        }
        if let digest = record.digest, let pinned = reference.pinned(to: report.manifest.digest) {
            OrdinaryOrigins(root: clients.store.root).note(pinned, for: digest)
        }
        report.seconds = MonotonicTime.now.seconds(since: start)
        return report
    }

    // MARK: The image is an ordinary one already

    private func copy(
        _ base: OrdinaryBase, to target: Repository
    ) throws(DistributionError) -> OrdinaryPushReport {
        let image = base.image
        var report = OrdinaryPushReport(
            manifest: image.descriptor, reference: pinned(image.descriptor), base: baseName(base),
            layerCount: image.manifest.layers.count, layer: nil)
        try bring(image.manifest.layers + [image.manifest.configuration], base, target, &report)
        meter.begin(.publishing)
        do throws(OCIError) {
            // Its bytes as they are: what is signed stays signed.
            let fetched = try base.repository.manifest(.digest(image.descriptor.digest))
            try target.putManifest(fetched.bytes, mediaType: fetched.mediaType, as: reference.tag)
            report.sentBytes += UInt64(fetched.bytes.count)
        } catch {
            throw OrdinaryPull.wrap(error)
        }
        return report
    }

    // MARK: A new image

    private func make(
        _ record: ImageRecord, _ resident: ResidentMap, _ base: OrdinaryBase?, _ target: Repository
    ) throws(DistributionError) -> OrdinaryPushReport {
        let file = try ScratchFile.make(in: scratch)
        let exported = try export(record, resident, base, to: file)
        // A tree without a base is a layer even when it is empty.
        let layer = exported?.isEmpty == true && base != nil ? nil : exported
        var layers = base?.image.manifest.layers.map(Self.asOCI) ?? []
        if let layer {
            layers.append(
                Descriptor(mediaType: layer.mediaType, digest: layer.digest, sizeBytes: layer.sizeBytes))
        }
        let configuration = try configuration(record, base, layer)
        let described = Descriptor(mediaType: MediaType.ociConfiguration, of: configuration)
        let manifest = try Self.wrapping { () throws(OCIError) in
            try ManifestWriter.manifest(Manifest(configuration: described, layers: layers))
        }
        let descriptor = Descriptor(mediaType: MediaType.ociManifest, of: manifest)
        var report = OrdinaryPushReport(
            manifest: descriptor, reference: pinned(descriptor), base: base.map(baseName),
            layerCount: layers.count, layer: layer)
        if let base { try bring(base.image.manifest.layers, base, target, &report) }
        try Self.wrapping { () throws(OCIError) in
            if let layer { try send(layer, file, target, &report) }
            meter.begin(.publishing)
            try target.upload(described.digest, bytes: configuration)
            try target.putManifest(manifest, mediaType: MediaType.ociManifest, as: reference.tag)
        }
        report.sentBytes += UInt64(configuration.count + manifest.count)
        return report
    }

    /// nil when the base has the very same blocks.
    private func export(
        _ record: ImageRecord, _ resident: ResidentMap, _ base: OrdinaryBase?, to file: File
    ) throws(DistributionError) -> ExportedLayer? {
        if let base, base.tree == nil { return nil }
        meter.begin(.layers, totalBytes: base == nil ? record.dataBytes ?? 0 : 0)
        let top = OrdinaryBlocks(image, resident, clients)
        var options = LayerExport.Options(compression: compression)
        var done: UInt64 = 0
        do throws(FlattenError) {
            var below: ExportTree?
            if let base, let tree = base.tree {
                // What the base became was written to volumes of it, and nowhere else.
                options.isDescendant = true
                let blocks = OrdinaryBlocks(base.name, tree, clients)
                below = try ExportTree("image \(base.name)", blocks: blocks, map: blocks.map)
            }
            return try LayerExport.run(
                base: below, top: try ExportTree("image \(image)", blocks: top, map: top.map),
                options: options, to: file,
                progress: { [meter] plain in
                    meter.add(plain - done)
                    done = plain
                }, isCancelled: isCancelled)
        } catch {
            if case .cancelled = error { throw .cancelled }
            throw .flatten(error)
        }
    }

    private func configuration(
        _ record: ImageRecord, _ base: OrdinaryBase?, _ layer: ExportedLayer?
    ) throws(DistributionError) -> [UInt8] {
        try Self.wrapping { () throws(OCIError) in
            let below = try base?.image.configuration.checkedDiffIDs() ?? []
            return try OrdinaryConfiguration.make(
                record.configuration, base: base?.image.configurationBytes,
                diffIDs: below + [layer?.diffID].compactMap { $0 }, isEmpty: layer == nil,
                created: record.created)
        }
    }

    // MARK: Blobs

    private func bring(
        _ blobs: [Descriptor], _ base: OrdinaryBase, _ target: Repository,
        _ report: inout OrdinaryPushReport
    ) throws(DistributionError) {
        let copy = BlobCopy(
            from: base.repository, to: target, scratch: scratch, isCancelled: isCancelled)
        if blobs.isEmpty { return }
        let outcomes = try Parallel.map(blobs, limit: Self.copiesAtOnce, copy.copy)
        for (blob, outcome) in zip(blobs, outcomes) {
            if case .sent = outcome { report.sentBytes += blob.sizeBytes } else { report.reusedBlobs += 1 }
        }
    }

    private func send(
        _ layer: ExportedLayer, _ file: File, _ target: Repository, _ report: inout OrdinaryPushReport
    ) throws(OCIError) {
        if try target.blobSize(layer.digest) == layer.sizeBytes {
            report.reusedBlobs += 1
            return
        }
        meter.begin(.packs, totalBytes: layer.sizeBytes)
        try target.upload(
            layer.digest, from: file, offset: 0, count: layer.sizeBytes, isCancelled: isCancelled)
        meter.add(layer.sizeBytes)
        report.sentBytes += layer.sizeBytes
    }

    /// Docker's names of layer types do not belong into an OCI manifest; the bytes are the same.
    private static func asOCI(_ layer: Descriptor) -> Descriptor {
        guard case .layer(let compression) = MediaType(layer.mediaType) else { return layer }
        return Descriptor(
            mediaType: LayerExport.mediaType(compression), digest: layer.digest, sizeBytes: layer.sizeBytes,
            annotations: layer.annotations)
    }

    private func pinned(_ manifest: Descriptor) -> String {
        "\(reference.pinned(to: manifest.digest) ?? reference)"
    }

    private func baseName(_ base: OrdinaryBase) -> String {
        "\(base.repository.registry)/\(base.repository.name)@\(base.image.descriptor.digest)"
    }

    private static func wrapping<T>(_ body: () throws(OCIError) -> T) throws(DistributionError) -> T {
        do throws(OCIError) { return try body() } catch { throw OrdinaryPull.wrap(error) }
    }
}
