// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI
import Volumes

extension Driver {
    /// All that is known of an image or a volume.
    func inspect(_ name: String) throws(Failure) -> Inspection {
        do {
            return store.kind(of: name) == .volume
                ? try inspect(store.volume(named: name)) : try inspect(store.image(named: name))
        } catch {
            throw Failure(error)
        }
    }

    private func inspect(_ record: ImageRecord) throws -> Inspection {
        let usage = store.usage().images.first { $0.name == record.name }
        let chunks = try store.blockFile(image: record.name).map?.chunks.count
        var inspection = Inspection(
            kind: "image", name: record.name, digest: record.digest.map { "\($0)" },
            parentDigest: record.parentDigest.map { "\($0)" }, created: Timestamp.text(record.created),
            sizeBytes: record.sizeBytes, dataBytes: record.dataBytes, uniqueBytes: usage?.uniqueBytes,
            sharedBytes: usage?.sharedBytes, chunkCount: chunks.map { UInt64($0) }, dirtyBytes: nil,
            source: record.source, configuration: Self.configuration(record.configuration, record.name))
        inspection.localBytes = record.localBytes
        guard record.isSealed else { return inspection }
        let (table, sources) = try store.places(ofImage: record.name)
        inspection.sources = sources
        inspection.packs = table.packs.count
        inspection.packedBytes = table.packedBytes
        inspection.profile = try store.profile(ofImage: record.name).map { Recordings.info($0, record) }
        return inspection
    }

    private func inspect(_ record: VolumeRecord) throws -> Inspection {
        Inspection(
            kind: "volume", name: record.name, digest: nil, parentDigest: record.parentDigest.map { "\($0)" },
            created: Timestamp.text(record.created), sizeBytes: record.sizeBytes, dataBytes: nil,
            uniqueBytes: nil, sharedBytes: nil, chunkCount: nil, dirtyBytes: record.dirtyBytes,
            source: record.parentImage.isEmpty ? "" : "image:\(record.parentImage)",
            configuration: Self.configuration(record.configuration, record.name))
    }

    /// A configuration that cannot be read is shown as empty: it was checked when the image came.
    private static func configuration(_ bytes: [UInt8], _ name: String) -> Inspection.Configuration {
        let parsed = bytes.isEmpty ? nil : try? ImageConfiguration(parsing: bytes, name: name)
        let execution = parsed?.config
        return Inspection.Configuration(
            platform: parsed.map { "\($0.platform)" }, entrypoint: execution?.entrypoint ?? [],
            command: execution?.command ?? [], environment: execution?.environment ?? [],
            user: execution?.user ?? "", workingDirectory: execution?.workingDirectory ?? "",
            labels: execution?.labels ?? [:], layers: parsed?.rootfs.diffIDs ?? [])
    }
}
