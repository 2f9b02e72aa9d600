// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Flatten
import HTTP
import OCI
import Volumes

/// The ordinary image that an image here stands on: its layers need not be made again.
struct OrdinaryBase {
    let image: OrdinaryImage
    /// Where its blobs are.
    let repository: Repository
    /// The same tree here; nil when the image is no other than the base.
    let tree: ResidentMap?
    let name: String

    /// Generations of images that are looked at.
    private static let depthLimit = 64

    /// Goes from the image down to what it was made on, until one is an ordinary image that is still there.
    static func find(
        for record: ImageRecord, preferring registry: String, _ clients: DistributionClients
    ) throws(DistributionError) -> OrdinaryBase? {
        let origins = OrdinaryOrigins(root: clients.store.root)
        let images = clients.store.images()
        var digest = record.digest
        for depth in 0..<depthLimit {
            guard let map = digest else { return nil }
            let local = images.first { $0.digest == map && $0.brokenReason == nil }
            // Without its blocks here, what differs from it cannot be told.
            if depth == 0 || local != nil {
                let manifests = origins.manifests(of: map)
                let sorted =
                    manifests.filter { $0.registry == registry }
                    + manifests.filter { $0.registry != registry }
                for reference in sorted {
                    let name = local?.name ?? record.name
                    if let base = try open(reference, name, isSame: depth == 0, clients) { return base }
                }
            }
            digest = depth == 0 ? record.parentDigest : local?.parentDigest
            if digest == map { return nil }
        }
        return nil
    }

    /// nil when the image is not there any more, or cannot be reached: then another base, or none, must do.
    private static func open(
        _ reference: Reference, _ name: String, isSame: Bool, _ clients: DistributionClients
    ) throws(DistributionError) -> OrdinaryBase? {
        let repository = clients.registry.repository(reference)
        do throws(OCIError) {
            let image = try OrdinaryImage.resolve(reference.selector, in: repository)
            let tree = isSame ? nil : try? clients.store.residentMap(ofImage: name)
            if !isSame, tree == nil { return nil }
            return OrdinaryBase(image: image, repository: repository, tree: tree, name: name)
        } catch {
            if case .stopped = error { throw .cancelled }
            Log.info("push", "no base for a layer", ["image": "\(reference)", "because": "\(error)"])
            return nil
        }
    }
}

/// Brings blobs of one repository into another.
final class BlobCopy: Sendable {
    private let source: Repository
    private let target: Repository
    private let scratch: String
    private let isCancelled: CancellationCheck

    init(
        from source: Repository, to target: Repository, scratch: String,
        isCancelled: @escaping CancellationCheck
    ) {
        self.source = source
        self.target = target
        self.scratch = scratch
        self.isCancelled = isCancelled
    }

    /// What became of a blob.
    enum Outcome: Sendable {
        case present, mounted, sent
    }

    func copy(_ blob: Descriptor) throws(DistributionError) -> Outcome {
        if isCancelled() { throw .cancelled }
        do throws(OCIError) {
            if try target.blobSize(blob.digest) == blob.sizeBytes { return .present }
            if source.registry == target.registry, source.name != target.name,
                (try? target.mount(blob.digest, from: source.name)) == true
            {
                return .mounted
            }
        } catch {
            throw OrdinaryPull.wrap(error)
        }
        let file = try ScratchFile.make(in: scratch)
        do throws(OCIError) {
            try download(blob, to: file)
            try target.upload(
                blob.digest, from: file, offset: 0, count: blob.sizeBytes, isCancelled: isCancelled)
        } catch {
            throw OrdinaryPull.wrap(error)
        }
        return .sent
    }

    private func download(_ blob: Descriptor, to file: File) throws(OCIError) {
        let stream = try source.openBlob(blob, group: .upload)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { piece.deallocate() }
        var offset: UInt64 = 0
        while true {
            if isCancelled() { throw .stopped("blob \(blob.digest)") }
            let count = try stream.read(into: piece)
            if count == 0 { return }
            do throws(SystemError) {
                try file.write(UnsafeRawBufferPointer(rebasing: piece[..<count]), at: offset)
            } catch {
                throw .system(error)
            }
            offset += UInt64(count)
        }
    }
}
