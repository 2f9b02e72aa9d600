// SPDX-License-Identifier: Apache-2.0

import Distribution
import Ext4
import Volumes

extension Driver {
    /// Begins to take down the reads of a volume or an image.
    ///
    /// The files are those of the image: what a volume has made since is in its journal, and in nobody's reach.
    func startTrace(_ name: String) throws(Failure) -> TraceInfo {
        guard let blocks else { throw Failure(.unavailable, "no block files are served") }
        let image: String
        do throws(VolumeError) {
            image =
                store.kind(of: name) == .volume
                ? try store.volume(named: name).parentImage : try store.image(named: name).name
        } catch {
            throw Failure(error)
        }
        let owners: BlockOwners?
        do throws(DistributionError) {
            owners =
                store.kind(of: image) == .image
                ? try ImageFiles.owners(of: image, clients: network.clients) : nil
        } catch {
            throw Failure(error)
        }
        return try traces.begin(name, owners, blocks)
    }

    func endTrace(_ id: String) {
        if let blocks { traces.end(id, blocks) }
    }
}
