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
            return try BlockOwners(Reader(CachedBlocks(OrdinaryBlocks(image, resident, clients))))
        } catch {
            throw error as? DistributionError ?? .flatten(.tree("image \(image)", reason: "\(error)"))
        }
    }
}
