// SPDX-License-Identifier: Apache-2.0

public import Base
import HTTP
public import OCI

/// The documents of an ordinary image, as other stores of images want them; its layers are not among them.
public struct ImageDocuments: Sendable {
    /// A blob, and the blobs that it names.
    public struct Document: Sendable {
        public let descriptor: Descriptor
        public let bytes: [UInt8]
    }

    /// As the image is called.
    public let name: String
    /// What the name means: an index or the manifest.
    public let target: Document
    /// Where the target is an index, the manifest for this machine, else the target.
    public let manifest: Document
    public let configuration: Document
    public let layers: [Descriptor]
    /// Chain ids, the lowest layer's first.
    public let chains: [Digest]

    /// Asks the registry, by the settings of a daemon; blocks.
    public static func fetch(_ text: String, _ configuration: Configuration) throws(Failure) -> ImageDocuments
    {
        do {
            let loop = try TransferLoop(configuration.transferLoop)
            defer { loop.stop() }
            let registry = RegistryClient(loop: loop, settings: configuration.registries)
            let reference = try Reference(parsing: text)
            return try fetch(reference, registry.repository(reference))
        } catch {
            throw Failure(error)
        }
    }

    private static func fetch(_ reference: Reference, _ repository: Repository) throws -> ImageDocuments {
        let first = try repository.manifest(reference.selector)
        var fetched = first
        if case .index(let entries) = try first.document() {
            fetched = try repository.manifest(.digest(try Platform.choose(entries, for: nil).digest))
        }
        guard case .manifest(let manifest) = try fetched.document(),
            MediaType(manifest.configuration.mediaType) == .configuration
        else { throw Failure(.badSource, "\(reference): not an image that containers can be made of") }
        let blob = manifest.configuration
        let bytes = try repository.blob(blob.digest, sizeBytes: blob.sizeBytes)
        let configuration = try ImageConfiguration(parsing: bytes, name: "\(blob.digest)")
        return ImageDocuments(
            name: "\(reference)", target: Document(descriptor: first.descriptor, bytes: first.bytes),
            manifest: Document(descriptor: fetched.descriptor, bytes: fetched.bytes),
            configuration: Document(descriptor: blob, bytes: bytes), layers: manifest.layers,
            chains: try configuration.chainIDs())
    }
}
