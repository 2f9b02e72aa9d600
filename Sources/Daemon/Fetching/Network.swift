// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Distribution
import HTTP
import OCI
import Volumes

/// Everything that reaches other machines: transfers, registries, sources of packs, the fetch engine.
///
/// Making it asks nobody: a daemon starts without a network.
final class Network: Sendable {
    let clients: DistributionClients
    let engine: FetchEngine
    private let loop: TransferLoop

    init(_ configuration: Configuration, store: VolumeStore) throws {
        loop = try TransferLoop(configuration.transferLoop)
        let registry = RegistryClient(loop: loop, settings: configuration.registries)
        let factory = SourceFactory(loop: loop, registry: registry, settings: configuration.sources)
        let uris = store.chunks.sources
        engine = try FetchEngine(store: store.chunks, limits: configuration.fetchLimits) { id in
            factory.source(uri: uris.uri(of: id))
        }
        clients = DistributionClients(
            store: store, loop: loop, registry: registry, sources: factory, engine: engine,
            importLimits: configuration.importLimits)
    }

    /// Ends all requests; whoever waits for one gets an error.
    ///
    /// May be called twice.
    func stop() {
        engine.shutDown()
        loop.stop()
    }
}
