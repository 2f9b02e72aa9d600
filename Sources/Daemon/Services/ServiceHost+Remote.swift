// SPDX-License-Identifier: Apache-2.0

public import Base
import Distribution
import Ext4
public import OCI
public import Volumes

extension ServiceHost {
    /// Pulls the block image that belongs to an ordinary one, under that one's name; nil when there is none.
    ///
    /// A registry that cannot be asked has none: whoever asks can still fetch the ordinary image.
    public func pullBlockImage(_ text: String) -> ImageRecord? {
        var options = PullOptions(policy: driver.configuration.blockImagePolicy)
        options.acceptsOrdinary = false
        options.replacesExisting = true
        do {
            let reference = RemoteReference.registry(try Reference(parsing: text))
            let name = reference.localName
            return try driver.pulls.with([name]) {
                let report = try Puller.pull(
                    reference, as: name, options: options, clients: driver.network.clients)
                driver.fills.adopt(name, nil)
                return report.image
            }
        } catch DistributionError.notAnImage, DistributionError.notFound {
            return nil
        } catch {
            Log.warning("containerd", "no block image", ["image": "\(text)", "because": "\(error)"])
            return nil
        }
    }

    /// Makes an image of the lowest layers of an ordinary image.
    public func pullLayers(
        _ text: String, depth: Int, chain: Digest, as name: String, sizeBytes: UInt64
    ) throws(Failure) {
        do {
            try driver.pulls.with([name]) {
                _ = try OrdinaryLayers.pull(
                    try Reference(parsing: text), depth: depth, chain: chain, as: name,
                    format: FormatOptions(sizeBytes: sizeBytes), clients: driver.network.clients)
            }
        } catch {
            throw Failure(error)
        }
    }

    /// Where the ordinary image is that an image here shows the tree of; nil when that is not known.
    public func origin(of image: ImageRecord) -> Reference? {
        OrdinaryLayers.origin(of: image, in: store)
    }

    /// Has the rest of an image fetched as the policy wants it.
    public func adopt(image: String) {
        driver.fills.adopt(image, nil)
    }

    /// Fetches no more of an image that is going away.
    public func forget(image: String) {
        if let record = try? store.image(named: image) { driver.fills.forget(record) }
    }
}
