// SPDX-License-Identifier: Apache-2.0

public import Ext4
import Flatten
import Volumes

/// The files of images, read from their blocks; what is not here is fetched.
public enum ImageFiles {
    /// Which file each block of the image belongs to; blocks.
    public static func owners(
        of image: String, clients: DistributionClients
    ) throws(DistributionError) -> BlockOwners {
        let resident = try Step.volumes { () throws(VolumeError) in
            try clients.store.residentMap(ofImage: image)
        }
        do {
            return try BlockOwners(Reader(CachingBlocks(OrdinaryBlocks(image, resident, clients))))
        } catch {
            throw error as? DistributionError ?? .flatten(.tree("image \(image)", reason: "\(error)"))
        }
    }
}

/// Keeps the last blocks: inodes of one directory share theirs.
private final class CachingBlocks: BlockReader {
    private static let limit = 1024

    private let source: OrdinaryBlocks
    private var kept: [UInt32: [UInt8]] = [:]

    init(_ source: OrdinaryBlocks) { self.source = source }

    func read(block: UInt32) throws -> [UInt8] {
        if let bytes = kept[block] { return bytes }
        let bytes = try source.read(block: block)
        if kept.count >= Self.limit { kept.removeAll(keepingCapacity: true) }
        kept[block] = bytes
        return bytes
    }
}
