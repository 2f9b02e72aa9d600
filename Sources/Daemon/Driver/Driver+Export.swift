// SPDX-License-Identifier: Apache-2.0

import Distribution
import OCI
import Volumes

extension Driver {
    /// What the images are called that exports of volumes are made from, for as long as these last.
    private static let momentPrefix = "slacker-moment."

    /// Begins to write an image or a volume in a form that other tools read.
    func startExport(_ request: ExportRequest) throws(Failure) -> OperationInfo {
        let target: ExportTarget
        do throws(DistributionError) { target = try ExportTarget.parse(request.target) } catch {
            throw Failure(error)
        }
        let compression = try request.compression.map { text throws(Failure) in try Self.compression(text) }
        try checkKnown(request.name)
        return try operations.start("export", of: request.name) { [self] operation in
            let report = try withMoment(of: request.name) { image in
                try Exporter.export(
                    image: image, to: target, compression: compression, clients: network.clients,
                    progress: { operation.progress($0) }, isCancelled: { operation.isCancelled })
            }
            operation.succeed { info in
                info.export = ExportInfo(
                    name: request.name, target: "\(target)", writtenBytes: report.writtenBytes,
                    manifestDigest: report.manifest.map { "\($0.digest)" },
                    skippedSockets: report.skippedSockets, seconds: report.seconds)
            }
        }.info
    }

    /// The files in which two images or volumes differ, one JSON line each.
    func changes(from first: String, to second: String) throws(Failure) -> TemporaryFile {
        for name in [first, second] { try checkKnown(name) }
        do {
            let list = try TemporaryFile(in: places.run)
            let changes = try withMoment(of: first) { old in
                try withMoment(of: second) { new in
                    try ImageComparison.run(from: old, to: new, clients: network.clients)
                }
            }
            for change in changes { try list.append(line: try JSON.encode(ChangeInfo(change))) }
            try list.finish()
            return list
        } catch {
            throw Failure(error)
        }
    }

    /// The name of an image; of a volume that of one which is made of it as it is now, and goes again.
    func withMoment<T>(of name: String, _ body: (String) throws -> T) throws -> T {
        guard store.kind(of: name) == .volume else { return try body(name) }
        let image = Self.momentPrefix + String(UInt64.random(in: 0 ... .max), radix: 36)
        _ = try mounts.snapshot(SnapshotRequest(volume: name, image: image))
        defer { try? store.remove(image) }
        return try body(image)
    }

    /// Takes away what a daemon that was killed meanwhile has left.
    func removeMoments() {
        for image in store.images() where image.name.hasPrefix(Self.momentPrefix) {
            try? store.remove(image.name)
        }
    }

    private func checkKnown(_ name: String) throws(Failure) {
        if store.kind(of: name) != nil { return }
        do throws(VolumeError) { _ = try store.image(named: name) } catch { throw Failure(error) }
    }

    private static func compression(_ text: String) throws(Failure) -> LayerCompression {
        switch text {
        case "none": return .none
        case "gzip": return .gzip
        case "zstd": return .zstd
        default: throw Failure(.invalid, "compression \(text): not known; use none, gzip or zstd")
        }
    }
}
