// SPDX-License-Identifier: Apache-2.0

public import Base
import Blocks
import ChunkStore
public import Ext4
import Flatten
import HTTP
public import OCI
public import Volumes

/// The lower layers of an ordinary image, for those who build on them.
public enum OrdinaryLayers {
    /// Where the ordinary image is that an image here shows the tree of; nil when that is not known.
    public static func origin(of image: ImageRecord, in store: VolumeStore) -> Reference? {
        guard let digest = image.digest else { return nil }
        return OrdinaryOrigins(root: store.root).manifests(of: digest).first
    }

    /// Fetches the lowest layers of an ordinary image and makes an image of them; blocks.
    ///
    /// - Parameters:
    ///   - depth: how many layers.
    ///   - chain: the chain id of these layers, which is checked.
    ///   - name: of the image that is made.
    /// - Throws: as `Puller.pull`, and `.notAnImage` when the image has other layers by now.
    public static func pull(
        _ reference: Reference, depth: Int, chain: Digest, as name: String, format: FormatOptions,
        clients: DistributionClients
    ) throws(DistributionError) -> ImageRecord {
        let repository = clients.registry.repository(reference)
        let image = try wrapping { () throws(OCIError) in
            try OrdinaryImage.resolve(reference.selector, in: repository)
        }
        let chains = try wrapping { () throws(OCIError) in try image.configuration.chainIDs() }
        guard depth >= 1, depth <= chains.count, chains[depth - 1] == chain else {
            throw .notAnImage("\(reference)", reason: "it no longer has the layers of \(chain)")
        }
        let downloads = LayerDownloads(
            Array(image.manifest.layers.prefix(depth)), scratch: clients.store.root + "/incoming",
            from: { layer throws(OCIError) in try repository.openBlob(layer, group: .demand) })
        defer { downloads.stop() }
        let session = clients.store.chunks.beginIngest()
        defer { session.release() }
        let flattened: FlattenedImage
        do {
            let all = try image.resolved(through: downloads)
            let lower = ResolvedImage(
                configuration: all.configuration, configurationBytes: all.configurationBytes,
                layers: Array(all.layers.prefix(depth)), manifestDigest: all.manifestDigest)
            flattened = try Importer.run(lower, into: session, options: format, limits: clients.importLimits)
        } catch {
            throw Self.wrap(error, reference)
        }
        do throws(VolumeError) {
            return try clients.store.addImage(
                name: name, map: EncodedBlockMap(flattened.map), places: nil, sources: [],
                configuration: flattened.configurationBytes, source: "\(reference)", session: session,
                replacing: true)
        } catch {
            throw .volumes(error)
        }
    }

    private static func wrapping<T>(_ body: () throws(OCIError) -> T) throws(DistributionError) -> T {
        do throws(OCIError) { return try body() } catch { throw OrdinaryPull.wrap(error) }
    }

    private static func wrap(_ error: any Error, _ reference: Reference) -> DistributionError {
        switch error {
        case let error as OCIError: OrdinaryPull.wrap(error)
        case let error as FlattenError: .flatten(error)
        default: .remote("\(reference)", reason: "\(error)")
        }
    }
}
