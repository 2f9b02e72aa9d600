// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI
import Volumes

/// One pull of a block image, or the way to one of an ordinary image.
struct PullJob: Sendable {
    private let reference: RemoteReference
    private let name: String
    private let options: PullOptions
    private let clients: DistributionClients
    private let meter: ProgressMeter
    private let isCancelled: CancellationCheck
    private let start = MonotonicTime.now

    init(
        _ reference: RemoteReference, as name: String?, _ options: PullOptions,
        _ clients: DistributionClients,
        _ meter: ProgressMeter, _ isCancelled: @escaping CancellationCheck
    ) {
        self.reference = reference
        self.name = name ?? Self.localName(reference)
        self.options = options
        self.clients = clients
        self.meter = meter
        self.isCancelled = isCancelled
    }

    private static func localName(_ reference: RemoteReference) -> String {
        switch reference {
        case .registry(let reference): "\(reference)"
        case .objects(_, let name): name
        }
    }

    func run() throws(DistributionError) -> PullReport {
        meter.begin(.resolving)
        do throws(VolumeError) { try Names.checkImage(name) } catch { throw .volumes(error) }
        let host = try clients.host(of: reference)
        guard let hosted = try host.manifest(reference) else { throw .notFound("\(reference)") }
        switch try document(hosted) {
        case .manifest(let manifest) where manifest.artifactType == BlockImage.artifactType:
            return try pull(manifest, hosted, host)
        case .manifest:
            if let report = try pullAttached(to: hosted.digest, host) { return report }
        case .index(let entries):
            guard let entry = try? Platform.choose(entries, for: options.platform) else { break }
            if let report = try pullAttached(to: entry.digest, host) { return report }
        }
        return try pullOrdinary(hosted)
    }

    private func document(_ hosted: HostedManifest) throws(DistributionError) -> ManifestDocument {
        do throws(OCIError) {
            return try ManifestDocument(
                parsing: hosted.bytes, mediaType: hosted.mediaType, name: "\(reference)")
        } catch {
            throw .registry(error)
        }
    }

    private func pullOrdinary(_ hosted: HostedManifest) throws(DistributionError) -> PullReport {
        guard options.acceptsOrdinary, case .registry(let image) = reference else {
            throw .notAnImage("\(reference)", reason: "there is no block image of it; push one to this place")
        }
        return try OrdinaryPull(
            reference: image, name: name, options: options, clients: clients, meter: meter,
            isCancelled: isCancelled
        ).run(hosted).report
    }

    // MARK: Block images

    /// Pulls the block image that is attached to an ordinary one; nil when there is none that can be used.
    private func pullAttached(
        to digest: Digest, _ host: any ImageHost
    ) throws(DistributionError) -> PullReport? {
        if !options.looksForAttached { return nil }
        if !options.policy.isTrusted(reference) { return nil }
        // Several may be attached; the last one in the list is the newest where registries keep an order.
        for descriptor in try host.attached(to: digest).reversed().prefix(4) {
            guard case .registry(let image) = reference, let pinned = image.pinned(to: descriptor.digest),
                let hosted = try host.manifest(.registry(pinned)),
                case .manifest(let manifest) = try document(hosted),
                manifest.artifactType == BlockImage.artifactType, manifest.subject?.digest == digest
            else { continue }
            do throws(DistributionError) {
                return try pull(manifest, hosted, host)
            } catch {
                // The ordinary image is still there to be pulled.
                guard options.acceptsOrdinary, case .badArtifact = error else { throw error }
                Log.warning(
                    "pull", "an attached block image is passed over",
                    ["image": "\(reference)", "because": "\(error)"])
            }
        }
        return nil
    }

    private func pull(
        _ manifest: Manifest, _ hosted: HostedManifest, _ host: any ImageHost
    ) throws(DistributionError) -> PullReport {
        if !options.policy.isTrusted(reference) {
            throw .untrusted("\(reference)", origin: reference.origin)
        }
        var clock = StepClock(since: start)
        let artifact = try checked { () throws(MapBlobError) in try ImageArtifact(manifest) }
        clock.step("  manifest")
        let (configuration, blobs) = try fetch(artifact, host)
        clock.step("  map")
        let preloaded = preload(artifact, host)
        defer { if let preloaded { clients.engine?.endPreload(preloaded) } }
        if isCancelled() { throw .cancelled }
        let image = try checked { () throws(MapBlobError) in try AssembledImage(artifact, blobs: blobs) }
        try check(configuration)
        clock.step("  decode")
        var report = try add(image, configuration, hosted, host, &clock)
        clock.step("  add")
        report.steps = clock.steps
        report.fetchedBytes = UInt64(
            blobs.reduce(hosted.bytes.count + configuration.count) { $0 + $1.count })
        return report
    }

    /// Has the boot pack come while the map is taken apart; nil when it is left to wait for that.
    ///
    /// Not sooner: it would take its share of the line from the map, for which everything waits. And an image
    /// that shares a pack with one that is here may share chunks of its boot pack too; then the map is to tell
    /// which are missing.
    private func preload(_ artifact: ImageArtifact, _ host: any ImageHost) -> PackInfo? {
        let chunks = clients.store.chunks
        guard options.streamsBootPack, let engine = clients.engine, let bytes = artifact.bootBytes,
            let pack = artifact.packs.first, artifact.packs.allSatisfy({ chunks.sources(of: $0).isEmpty }),
            let source = try? chunks.sources.intern(host.sourceURI)
        else { return nil }
        engine.preload(pack, firstBytes: bytes, from: source)
        return pack
    }

    private func checked<T>(_ body: () throws(MapBlobError) -> T) throws(DistributionError) -> T {
        do throws(MapBlobError) { return try body() } catch {
            throw .badArtifact("\(reference)", reason: "\(error)")
        }
    }

    private func check(_ configuration: [UInt8]) throws(DistributionError) {
        do throws(OCIError) {
            _ = try ImageConfiguration(parsing: configuration, name: "configuration of \(reference)")
        } catch {
            throw .badArtifact("\(reference)", reason: "\(error)")
        }
    }

    /// Configuration and map blobs, side by side.
    private func fetch(
        _ artifact: ImageArtifact, _ host: any ImageHost
    ) throws(DistributionError) -> (configuration: [UInt8], maps: [[UInt8]]) {
        let total = artifact.maps.reduce(artifact.configuration.sizeBytes) { $0 + $1.sizeBytes }
        meter.begin(.maps, totalBytes: total)
        var wanted = artifact.maps.map { Wanted(host: host, kind: .map, ImageArtifact.descriptor(of: $0)) }
        if artifact.configuration.data == nil {
            wanted.append(Wanted(host: host, kind: .configuration, artifact.configuration))
        }
        let answers = try Parallel.map(wanted, fetch)
        let maps = Array(answers.prefix(artifact.maps.count))
        return (artifact.configuration.data ?? answers.last ?? [], maps)
    }

    private struct Wanted: Sendable {
        let host: any ImageHost
        let kind: BlobKind
        let descriptor: Descriptor

        init(host: any ImageHost, kind: BlobKind, _ descriptor: Descriptor) {
            self.host = host
            self.kind = kind
            self.descriptor = descriptor
        }
    }

    @Sendable
    private func fetch(_ wanted: Wanted) throws(DistributionError) -> [UInt8] {
        let bytes = try wanted.host.blob(wanted.kind, wanted.descriptor)
        meter.add(UInt64(bytes.count))
        return bytes
    }

    // MARK: Into the store

    private func add(
        _ image: AssembledImage, _ configuration: [UInt8], _ hosted: HostedManifest, _ host: any ImageHost,
        _ clock: inout StepClock
    ) throws(DistributionError) -> PullReport {
        let digest = image.artifact.mapDigest
        let exact = exactReference(hosted.digest)
        let resident = try attach(image, host)
        let chunks = resident.chunks
        let present = chunks.count { clients.store.chunks.isPresent($0) }
        if options.streamsBootPack { clients.engine?.streamBootPack(resident) }
        clock.step("  attach")
        meter.begin(.publishing)
        let record: ImageRecord
        do throws(VolumeError) {
            if let known = try? clients.store.image(named: name), known.digest == digest,
                known.configuration == configuration
            {
                record = known
                try clients.store.setPlaces(of: name, image.places, sources: [host.sourceURI])
            } else {
                record = try clients.store.addImage(
                    name: name, map: image.encoded, resident: resident, places: image.places,
                    sources: [host.sourceURI], configuration: configuration, source: "\(exact)",
                    session: nil, replacing: options.replacesExisting)
            }
        } catch {
            clients.engine?.forget(resident)
            throw .volumes(error)
        }
        ArtifactHints(root: clients.store.root).add(exact, for: [digest])
        // Images derived from this one are pushed as layers on the ordinary image that it was attached to.
        if let subject = image.artifact.subject,
            case .registry(let ordinary) = exactReference(subject.digest)
        {
            OrdinaryOrigins(root: clients.store.root).note(ordinary, for: digest)
        }
        var report = PullReport(image: record, kind: .block, reference: "\(exact)", digest: hosted.digest)
        report.chunks = chunks.count
        report.presentChunks = present
        report.bootBytes = image.places.bootPack.map { image.places.packs[$0].sizeBytes } ?? 0
        report.seconds = MonotonicTime.now.seconds(since: start)
        return report
    }

    /// Attaches the map before the image is added, so that the boot pack travels while the disk writes.
    private func attach(
        _ image: AssembledImage, _ host: any ImageHost
    ) throws(DistributionError) -> ResidentMap {
        let chunks = clients.store.chunks
        do throws(ChunkStoreError) {
            let source = try chunks.sources.intern(host.sourceURI)
            return try chunks.attach(image.map, places: image.places, sources: [source])
        } catch {
            throw .chunks(error)
        }
    }

    private func exactReference(_ digest: Digest) -> RemoteReference {
        guard case .registry(let image) = reference, let pinned = image.pinned(to: digest) else {
            return reference
        }
        return .registry(pinned)
    }
}
