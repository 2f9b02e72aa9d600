// SPDX-License-Identifier: Apache-2.0

public import ChunkStore
public import Flatten
public import HTTP
public import OCI
public import Volumes

/// What pushes and pulls work with; one for the whole program.
public struct DistributionClients: Sendable {
    public let store: VolumeStore
    public let loop: TransferLoop
    public let registry: RegistryClient
    public let sources: SourceFactory
    /// Fetches chunks; nil where nothing is read lazily, as in a tool that only pushes.
    public let engine: FetchEngine?
    /// What ordinary images may cost.
    public let importLimits: ImportLimits

    public init(
        store: VolumeStore, loop: TransferLoop, registry: RegistryClient, sources: SourceFactory,
        engine: FetchEngine?, importLimits: ImportLimits = ImportLimits()
    ) {
        self.store = store
        self.loop = loop
        self.registry = registry
        self.sources = sources
        self.engine = engine
        self.importLimits = importLimits
    }

    /// A directory for packs that are being made.
    var scratch: String { store.root + "/outgoing" }

    /// The other side of a reference.
    func host(of reference: RemoteReference) throws(DistributionError) -> any ImageHost {
        switch reference {
        case .registry(let reference): RegistryHost(registry.repository(reference))
        case .objects(let place, _): ObjectHost(place, try sources.objects(at: place), scratch: scratch)
        }
    }
}
