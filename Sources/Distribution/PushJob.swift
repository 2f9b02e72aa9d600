// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI
import Volumes

/// One push, from the image's name to a manifest on the other side.
struct PushJob {
    private let image: String
    private let reference: RemoteReference
    private let options: PushOptions
    private let clients: DistributionClients
    private let meter: ProgressMeter
    private let isCancelled: CancellationCheck
    private var store: VolumeStore { clients.store }

    init(
        image: String, _ reference: RemoteReference, _ options: PushOptions, _ clients: DistributionClients,
        _ meter: ProgressMeter, _ isCancelled: @escaping CancellationCheck
    ) {
        self.image = image
        self.reference = reference
        self.options = options
        self.clients = clients
        self.meter = meter
        self.isCancelled = isCancelled
    }

    /// The image as it is here.
    private struct Local {
        let record: ImageRecord
        let resident: ResidentMap
        let map: BlockMap
        let digest: Digest
        let profile: BootProfile?
    }

    func run() throws(DistributionError) -> PushReport {
        let start = MonotonicTime.now
        try check()
        meter.begin(.resolving)
        let host = try clients.host(of: reference)
        try host.requireWritable()
        let local = try look()
        let boot = try plan(local)
        let digest = boot.map == local.map ? local.digest : boot.map.digest
        let remote = try ask(host, local, boot.map, digest)
        try stopIfCancelled()
        let base = Self.base(for: boot.map, digest, remote.bases)
        let plan = PushPlan(boot, known: remote.known, base: base?.image, packBytes: options.packBytes)
        var report = PushReport(reference: "\(reference)", digest: digest)
        report.mountedPacks = remote.mountedPacks
        var known = remote.known
        let sent = try send(plan, boot, local, host)
        for pack in sent { known.add(pack.pack, pack.directory) }
        count(sent, boot.map, &report)
        try stopIfCancelled()
        let newBoot = sent.first.map { BootPack(pack: $0.pack, chunks: plan.packs[0].count) }
        let bootPack = plan.makesBootPack ? newBoot : plan.keptBootPack
        let finish = PushFinish(
            host: host, reference: reference, options: options, map: boot.map, digest: digest,
            configuration: local.record.configuration, known: known, boot: bootPack, base: base, meter: meter)
        try finish.run(&report)
        try remember(local, digest, known, bootPack, report)
        report.seconds = MonotonicTime.now.seconds(since: start)
        return report
    }

    private func check() throws(DistributionError) {
        guard case .registry(let target) = reference else {
            if options.subject == nil { return }
            throw .badReference("\(reference)", reason: "only a registry attaches one image to another")
        }
        if target.digest != nil || (target.tag == nil && options.subject == nil) {
            throw .badReference("\(reference)", reason: "an image is pushed to a tag, not to a digest")
        }
    }

    private func stopIfCancelled() throws(DistributionError) {
        if isCancelled() { throw .cancelled }
    }

    private func look() throws(DistributionError) -> Local {
        do throws(VolumeError) {
            let resident = try store.residentMap(ofImage: image)
            let record = try store.image(named: image)
            let map = resident.map
            let profile = options.makesBootPack ? try store.profile(ofImage: image) : nil
            return Local(
                record: record, resident: resident, map: map, digest: record.digest ?? map.digest,
                profile: profile)
        } catch {
            throw .volumes(error)
        }
    }

    private func plan(_ local: Local) throws(DistributionError) -> BootPlan {
        guard options.makesBootPack else { return BootPlan(local.map) }
        guard let profile = local.profile else {
            return BootPlan(local.map, places: store.chunks.places(for: local.map))
        }
        return try BootPlan(local.map, touched: profile, reading: reading(local))
    }

    private func reading(_ local: Local) -> ChunkReading {
        ChunkReading(image: image, store: store.chunks, engine: clients.engine, holder: local.resident)
    }

    private func ask(
        _ host: any ImageHost, _ local: Local, _ map: BlockMap, _ digest: Digest
    ) throws(DistributionError) -> RemoteState {
        if !options.reusesRemote { return RemoteState() }
        let hints = ArtifactHints(root: store.root)
        let maps = [digest, local.digest] + [local.record.parentDigest].compactMap { $0 }
        var references = [reference]
        let exact = hints.references(of: maps).filter { $0.sourceURI == host.sourceURI }
        // A rebuilt image has no parent here, but is mostly like one that went there before. Every image more
        // is a map more to read, so what was cut from a parent that is there is held against that one only.
        let hinted = exact.isEmpty ? hints.latest(at: host.sourceURI, limit: 2) : Array(exact.prefix(1))
        for hint in hinted where !references.contains(hint) { references.append(hint) }
        let source: SourceID
        do throws(ChunkStoreError) { source = try store.chunks.sources.intern(host.sourceURI) } catch {
            throw .chunks(error)
        }
        return try RemoteState.ask(
            host, references, map: map, local: store.chunks.places(for: map, preferring: source),
            store: store.chunks)
    }

    /// The image there from which the new map is told in the fewest bytes; nil when a whole one is no longer.
    private static func base(
        for map: BlockMap, _ digest: Digest, _ candidates: [AssembledImage]
    ) -> PushFinish.Base? {
        var best: PushFinish.Base?
        for image in candidates where image.artifact.maps.count <= MapBlob.maximumChain {
            let difference = map.difference(from: image.map)
            if difference.count < best?.difference.count ?? .max {
                best = PushFinish.Base(image: image, difference: difference)
            }
        }
        // Chunks come to 33 bytes in a map and more with their extents.
        guard let best, best.difference.count < map.chunks.count * 24 else { return nil }
        return best
    }

    private func send(
        _ plan: PushPlan, _ boot: BootPlan, _ local: Local, _ host: any ImageHost
    ) throws(DistributionError) -> [PackLine.Sent] {
        let total = plan.packs.joined().reduce(0) { $0 + UInt64($1.blockCount) } * UInt64(Block.bytes)
        let all = boot.map.chunks.reduce(0) { $0 + UInt64($1.blockCount) } * UInt64(Block.bytes)
        meter.begin(.packs, totalBytes: total, skippedBytes: all - min(all, total))
        if plan.packs.isEmpty { return [] }
        var reading = reading(local)
        reading.cuts = boot.cuts
        let line = PackLine(
            reading: reading, host: host, level: options.level, scratch: clients.scratch, meter: meter,
            isCancelled: isCancelled)
        return try Parallel.map(plan.packs, limit: PackLine.width, line.send)
    }

    private func count(_ sent: [PackLine.Sent], _ map: BlockMap, _ report: inout PushReport) {
        var made: Set<ChunkDescriptor> = []
        for pack in sent {
            report.newPacks += 1
            if pack.wasThere { report.presentPacks += 1 } else { report.sentBytes += pack.pack.sizeBytes }
            made.formUnion(pack.directory.entries.map(\.chunk))
        }
        for chunk in map.chunks {
            let bytes = UInt64(chunk.blockCount) * UInt64(Block.bytes)
            if made.contains(chunk) {
                report.sentChunks += 1
                report.sentPlainBytes += bytes
            } else {
                report.reusedChunks += 1
                report.reusedPlainBytes += bytes
            }
        }
    }

    /// So that the next push is a small one, and chunks may be given up here.
    private func remember(
        _ local: Local, _ digest: Digest, _ known: KnownPlaces, _ boot: BootPack?, _ report: PushReport
    ) throws(DistributionError) {
        let table = known.table(of: local.map.chunks, boot: boot)
        do throws(VolumeError) {
            try store.setPlaces(of: image, table, sources: [reference.sourceURI])
        } catch {
            // The image may have been removed meanwhile; what was pushed stands.
            Log.warning("push", "places are not remembered", ["image": image, "because": "\(error)"])
        }
        let place: RemoteReference?
        switch reference {
        case .registry(let target): place = target.pinned(to: report.digest).map { .registry($0) }
        case .objects: place = reference
        }
        if let place { ArtifactHints(root: store.root).add(place, for: Array(Set([digest, local.digest]))) }
    }
}

extension Reference {
    /// The manifest itself, whatever the tag points to later.
    func pinned(to digest: Digest) -> Reference? {
        try? Reference(parsing: "\(registry)/\(repository)@\(digest)")
    }
}
