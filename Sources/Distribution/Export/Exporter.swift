// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Flatten
import Glibc
public import OCI
import Volumes

/// What an export wrote.
public struct ExportReport: Sendable, Equatable {
    public let target: ExportTarget
    /// Bytes of what was written, holes of a sparse file not among them.
    public let writtenBytes: UInt64
    /// Of an image layout: its manifest.
    public let manifest: Descriptor?
    /// Sockets, which no tar can hold.
    public let skippedSockets: UInt64
    public let seconds: Double
}

/// Writes images of this machine in forms that other tools read.
public enum Exporter {
    /// Writes the image; blocks.
    ///
    /// The same image gives the same bytes. What is not here is fetched. A file appears when it is whole; one that
    /// is there is replaced then.
    /// - Throws: `.volumes` when there is no such image, `.flatten` for what no tar can hold and for a file system
    ///   whose journal is not replayed, `.unreachableChunks`, `.badExport`, `.registry`, `.system`, `.cancelled`.
    public static func export(
        image: String, to target: ExportTarget, compression: LayerCompression? = nil,
        clients: DistributionClients, progress: @escaping ProgressHandler = { _ in },
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> ExportReport {
        try ExportJob(
            image: image, target: target, compression: compression, clients: clients,
            meter: ProgressMeter(progress), isCancelled: isCancelled
        ).run()
    }
}

struct ExportJob {
    let image: String
    let target: ExportTarget
    let compression: LayerCompression?
    let clients: DistributionClients
    let meter: ProgressMeter
    let isCancelled: CancellationCheck

    func run() throws(DistributionError) -> ExportReport {
        let start = MonotonicTime.now
        meter.begin(.resolving)
        let (resident, record) = try Step.volumes { () throws(VolumeError) in
            // Waits for the seal, so that the record has its digests.
            (try clients.store.residentMap(ofImage: image), try clients.store.image(named: image))
        }
        // All at once and many requests at a time; the export takes what it needs on the way.
        let fill = resident.isComplete ? nil : clients.engine?.fill(resident, owner: 0)
        defer { fill?.cancel() }
        let written: Written
        switch target {
        case .layout(let directory, let tag): written = try layout(record, resident, directory, tag)
        case .layoutArchive(let path, let tag): written = try archive(record, resident, path, tag)
        case .rootFileSystem(let path): written = try rootFileSystem(record, resident, path)
        case .ext4(let path): written = try RawExport(self, resident).write(path)
        case .qcow2(let path): written = try RawExport(self, resident).convert(path)
        }
        return ExportReport(
            target: target, writtenBytes: written.bytes, manifest: written.manifest,
            skippedSockets: written.skippedSockets, seconds: MonotonicTime.now.seconds(since: start))
    }

    struct Written {
        var bytes: UInt64 = 0
        var manifest: Descriptor?
        var skippedSockets: UInt64 = 0
    }

    // MARK: Trees

    /// The whole tree as one layer.
    private func layer(
        _ record: ImageRecord, _ resident: ResidentMap, _ compression: LayerCompression, to file: File
    ) throws(DistributionError) -> ExportedLayer {
        meter.begin(.exporting, totalBytes: record.dataBytes ?? 0)
        let blocks = OrdinaryBlocks(image, resident, clients)
        var done: UInt64 = 0
        return try Step.flatten { () throws(FlattenError) in
            try LayerExport.run(
                base: nil, top: try ExportTree("image \(image)", blocks: blocks, map: blocks.map),
                options: LayerExport.Options(compression: compression, keepsHoles: true), to: file,
                progress: { [meter] plain in
                    meter.add(plain - done)
                    done = plain
                }, isCancelled: isCancelled)
        }
    }

    private func rootFileSystem(
        _ record: ImageRecord, _ resident: ResidentMap, _ path: String
    ) throws(DistributionError) -> Written {
        let new = try NewFile(path)
        let layer = try layer(record, resident, compression ?? Self.compression(of: path), to: new.file)
        try new.keep()
        return Written(bytes: layer.sizeBytes, skippedSockets: layer.skippedSockets)
    }

    private static func compression(of path: String) -> LayerCompression {
        if path.hasSuffix(".gz") || path.hasSuffix(".tgz") { return .gzip }
        return path.hasSuffix(".zst") ? .zstd : .none
    }

    private func layout(
        _ record: ImageRecord, _ resident: ResidentMap, _ directory: String, _ tag: String
    ) throws(DistributionError) -> Written {
        let writer = try Step.registry { () throws(OCIError) in try LayoutWriter(directory: directory) }
        let blob = try Step.registry { () throws(OCIError) in try writer.makeBlob() }
        let layer: ExportedLayer
        do throws(DistributionError) {
            layer = try self.layer(record, resident, compression ?? .gzip, to: blob)
        } catch {
            try? Directories.removeFile(blob.path)
            throw error
        }
        meter.begin(.publishing)
        return try Step.registry { () throws(OCIError) in
            try writer.add(blob, as: layer.digest)
            let created = Self.created(record)
            let configuration = try OrdinaryConfiguration.make(
                record.configuration, base: nil, diffIDs: [layer.diffID], isEmpty: false, created: created,
                creator: "slacker export")
            try writer.add(configuration)
            let manifest = try ManifestWriter.manifest(
                Manifest(
                    configuration: Descriptor(mediaType: MediaType.ociConfiguration, of: configuration),
                    layers: [
                        Descriptor(
                            mediaType: layer.mediaType, digest: layer.digest, sizeBytes: layer.sizeBytes)
                    ]))
            try writer.add(manifest)
            let descriptor = Descriptor(mediaType: MediaType.ociManifest, of: manifest)
            try writer.finish(descriptor, tag: tag)
            return Written(
                bytes: layer.sizeBytes + UInt64(configuration.count + manifest.count), manifest: descriptor,
                skippedSockets: layer.skippedSockets)
        }
    }

    /// Of an image that was made elsewhere, when that was: then an export is the same on every machine.
    private static func created(_ record: ImageRecord) -> Int64 {
        if record.source.hasPrefix("volume:") { return record.created }
        let parsed = try? ImageConfiguration(parsing: record.configuration, name: record.name)
        return parsed?.created.flatMap(ISOTime.seconds) ?? 0
    }

    private func archive(
        _ record: ImageRecord, _ resident: ResidentMap, _ path: String, _ tag: String
    ) throws(DistributionError) -> Written {
        let new = try NewFile(path)
        let directory = clients.scratch + "/layout." + String(UInt64.random(in: 0 ... .max), radix: 36)
        defer { try? Directories.removeTree(directory) }
        var written = try layout(record, resident, directory, tag)
        meter.begin(.converting, totalBytes: written.bytes)
        let members = try Step.system { () throws(SystemError) in
            let blobs = try Directories.names(in: directory + "/blobs/sha256").map { "blobs/sha256/" + $0 }
            return try (["oci-layout", "index.json"] + blobs).map { name throws(SystemError) in
                PlainArchive.Member(name: name, file: try File(open: directory + "/" + name, O_RDONLY))
            }
        }
        try Step.flatten { () throws(FlattenError) in
            try PlainArchive.write(
                members, to: new.file, progress: { meter.add($0) }, isCancelled: isCancelled)
        }
        written.bytes = try Step.system { () throws(SystemError) in try new.file.size() }
        try new.keep()
        return written
    }
}
