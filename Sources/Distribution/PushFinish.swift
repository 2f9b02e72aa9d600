// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI

/// The end of a push, when every pack is there: map, configuration, manifest.
struct PushFinish: Sendable {
    /// An image there, and what the new one's map has that its map has not.
    struct Base: Sendable {
        let image: AssembledImage
        let difference: [UInt8]
    }

    /// A configuration of so many bytes at most stands in the manifest too: longer ones are rare, and registries
    /// bound their manifests.
    private static let embeddedBytes = 32 << 10

    let host: any ImageHost
    let reference: RemoteReference
    let options: PushOptions
    let map: BlockMap
    let digest: Digest
    let configuration: [UInt8]
    let known: KnownPlaces
    let boot: BootPack?
    let base: Base?
    let meter: ProgressMeter

    func run(_ report: inout PushReport) throws(DistributionError) {
        let table = known.table(of: map.chunks, boot: boot)
        if table.packs.count > ImageArtifact.maximumPacks || table.places.contains(where: { $0 == nil }) {
            throw .remote(
                "\(reference)",
                reason: "the image would need \(table.packs.count) packs; push it without reuse")
        }
        let (maps, new) = try self.maps(table)
        meter.begin(.maps, totalBytes: UInt64((new?.count ?? 0) + configuration.count))
        var described = Descriptor(mediaType: MediaType.ociConfiguration, of: configuration)
        // In the manifest it costs a pull no request.
        if !host.storesConfiguration || configuration.count <= Self.embeddedBytes {
            described = Descriptor(
                mediaType: described.mediaType, digest: described.digest, sizeBytes: described.sizeBytes,
                data: configuration)
        }
        try sendBlobs(new, described, &report)
        let artifact = ImageArtifact(
            configuration: described, maps: maps, packs: table.packs,
            bootBytes: table.bootPack == 0 ? table.bootEnd : nil, mapDigest: digest,
            subject: options.subject, annotations: options.annotations)
        let manifest: [UInt8]
        do throws(OCIError) { manifest = try artifact.encode() } catch { throw .registry(error) }
        meter.begin(.publishing, totalBytes: UInt64(manifest.count))
        report.digest = try host.publish(manifest, reference, subject: options.subject)
        report.sentBytes += UInt64(manifest.count)
        meter.add(UInt64(manifest.count))
        if case .registry(let target) = reference, let pinned = target.pinned(to: report.digest) {
            report.reference = "\(pinned)"
        }
    }

    private func sendBlobs(
        _ map: [UInt8]?, _ described: Descriptor, _ report: inout PushReport
    ) throws(DistributionError) {
        var blobs: [NewBlob] = []
        if let map {
            report.mapBytes = UInt64(map.count)
            report.mapIsDifference = base != nil
            blobs.append(NewBlob(kind: .map, bytes: map))
        }
        let isThere = base?.image.artifact.configuration.digest == described.digest
        if host.storesConfiguration, !isThere {
            blobs.append(NewBlob(kind: .configuration, bytes: configuration))
        }
        if blobs.isEmpty { return }
        let sent = try Parallel.map(blobs, send)
        report.sentBytes += sent.reduce(0, +)
    }

    private struct NewBlob: Sendable {
        let kind: BlobKind
        let bytes: [UInt8]
    }

    @Sendable
    private func send(_ blob: NewBlob) throws(DistributionError) -> UInt64 {
        try host.send(blob.kind, blob.bytes)
        meter.add(UInt64(blob.bytes.count))
        return UInt64(blob.bytes.count)
    }

    /// The map blobs of the image, and the one that is new.
    private func maps(_ table: PlaceTable) throws(DistributionError) -> ([ImageArtifact.Map], [UInt8]?) {
        if let base, base.image.artifact.mapDigest == digest, base.image.places == table {
            return (base.image.artifact.maps, nil)
        }
        let blob: MapBlob
        if let base {
            let places = table.difference(of: map, from: base.image.places, of: base.image.map)
            blob = MapBlob(isDifference: true, map: base.difference, places: places)
        } else {
            blob = MapBlob(isDifference: false, map: map.encode(), places: table.encode())
        }
        let plain = blob.encode()
        let inherited = base?.image.artifact.maps ?? []
        let total = inherited.reduce(plain.count) { $0 + $1.plainBytes }
        guard total <= MapBlob.maximumPlainBytes, let frame = ZstdFrame.compress(plain) else {
            throw .remote("\(reference)", reason: "its maps have \(total) bytes, too many to be pushed")
        }
        let layer = ImageArtifact.Map(
            digest: Digest(hashing: frame), sizeBytes: UInt64(frame.count), plainBytes: plain.count)
        return (inherited + [layer], frame)
    }
}
