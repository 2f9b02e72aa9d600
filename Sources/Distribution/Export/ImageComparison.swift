// SPDX-License-Identifier: Apache-2.0

public import Flatten
import Volumes

/// Compares the files of two images of this machine.
public enum ImageComparison {
    /// Generations of images that are looked at for a common past.
    private static let depthLimit = 64

    /// What has to be done to the first to get the second; blocks.
    ///
    /// Where one was made from the other, only inodes whose blocks differ are looked at; else chunks tell what is
    /// equal, and other blocks are read, and fetched if they are not here.
    /// - Throws: `.volumes` when there is no such image, `.flatten` for a file system whose journal is not replayed,
    ///   `.unreachableChunks`, `.cancelled`.
    public static func run(
        from first: String, to second: String, clients: DistributionClients,
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> [TreeChange] {
        let (old, new) = (try record(first, clients), try record(second, clients))
        if let digest = old.digest, digest == new.digest { return [] }
        let (base, top) = (try tree(first, clients), try tree(second, clients))
        return try Step.flatten { () throws(FlattenError) in
            if descends(old, from: new, clients) {
                return try TreeDifference.run(
                    from: top, to: base, isDescendant: true, isCancelled: isCancelled
                ).map(\.inverse)
            }
            return try TreeDifference.run(
                from: base, to: top, isDescendant: descends(new, from: old, clients), isCancelled: isCancelled
            )
        }
    }

    private static func record(
        _ name: String, _ clients: DistributionClients
    ) throws(DistributionError) -> ImageRecord {
        try Step.volumes { () throws(VolumeError) in
            // Waits for the seal, so that the record has its digests.
            _ = try clients.store.residentMap(ofImage: name)
            return try clients.store.image(named: name)
        }
    }

    private static func tree(
        _ name: String, _ clients: DistributionClients
    ) throws(DistributionError) -> ExportTree {
        let resident = try Step.volumes { () throws(VolumeError) in
            try clients.store.residentMap(ofImage: name)
        }
        let blocks = OrdinaryBlocks(name, resident, clients)
        return try Step.flatten { () throws(FlattenError) in
            try ExportTree("image \(name)", blocks: blocks, map: blocks.map)
        }
    }

    /// Whether the image was made by writing to the other's file system, over some generations perhaps.
    private static func descends(
        _ image: ImageRecord, from other: ImageRecord, _ clients: DistributionClients
    ) -> Bool {
        let images = clients.store.images()
        var parent = image.parentDigest
        for _ in 0..<depthLimit {
            guard let digest = parent else { return false }
            if digest == other.digest { return true }
            parent = images.first { $0.digest == digest && $0.brokenReason == nil }?.parentDigest
            if parent == digest { return false }
        }
        return false
    }
}
