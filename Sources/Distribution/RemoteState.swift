// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI

/// What the other side has of an image that is to be pushed.
struct RemoteState: Sendable {
    /// Chunks in packs of which we know that they are there.
    private(set) var known = KnownPlaces()
    /// Images there that the new one may be a difference to, the most promising first.
    private(set) var bases: [AssembledImage] = []
    /// Packs that were mounted from a sibling.
    private(set) var mountedPacks = 0
    private var seen: Set<Digest> = []

    /// Images that are looked at.
    private static let baseLimit = 4
}

extension RemoteState {
    /// Asks the other side, in two rounds of requests that go side by side.
    ///
    /// What is there but cannot be read counts as not there: pushing is the way to repair it.
    /// - Parameters:
    ///   - references: where an image like this one may lie.
    ///   - local: places that the store knows of the map's chunks.
    static func ask(
        _ host: any ImageHost, _ references: [RemoteReference], map: BlockMap, local: PlaceTable,
        store: ChunkStore
    ) throws(DistributionError) -> RemoteState {
        var state = RemoteState()
        let asker = Asker(host: host, store: store)
        let manifests = try Parallel.map(Array(references.prefix(baseLimit)), asker.manifest)
        let artifacts = manifests.compactMap { $0.flatMap { state.artifact($0) } }
        let named = Set(artifacts.flatMap(\.packs))
        var maps: Set<Digest> = []
        let questions =
            artifacts.flatMap(\.maps).filter { maps.insert($0.digest).inserted }.map(Question.map)
            + local.packs.filter { !named.contains($0) }.map(Question.pack)
        var blobs: [Digest: [UInt8]] = [:]
        var there = named
        for answer in try Parallel.map(questions, limit: 16, asker.answer) {
            switch answer {
            case .blob(let digest, let bytes): blobs[digest] = bytes
            case .pack(let pack, let isThere, let isMounted):
                if isThere { there.insert(pack) }
                if isMounted { state.mountedPacks += 1 }
            }
        }
        for artifact in artifacts { state.add(artifact, blobs) }
        state.known.add(local, of: map.chunks) { there.contains($0) }
        return state
    }

    private mutating func artifact(_ manifest: HostedManifest) -> ImageArtifact? {
        guard seen.insert(manifest.digest).inserted,
            case .manifest(let parsed)? = try? ManifestDocument(
                parsing: manifest.bytes, mediaType: manifest.mediaType, name: "\(manifest.digest)"),
            parsed.artifactType == BlockImage.artifactType
        else { return nil }
        do throws(MapBlobError) { return try ImageArtifact(parsed) } catch {
            Asker.passOver(manifest.digest, error)
            return nil
        }
    }

    private mutating func add(_ artifact: ImageArtifact, _ blobs: [Digest: [UInt8]]) {
        let frames = artifact.maps.compactMap { blobs[$0.digest] }
        guard frames.count == artifact.maps.count else { return }
        do throws(MapBlobError) {
            let image = try AssembledImage(artifact, blobs: frames)
            known.add(image.places, of: image.map.chunks) { _ in true }
            bases.append(image)
        } catch {
            Asker.passOver(artifact.mapDigest, error)
        }
    }
}

/// What is asked in the second round.
private enum Question: Sendable {
    case map(ImageArtifact.Map)
    /// Of which the store says that the other side or a sibling of it has it.
    case pack(PackInfo)
}

private enum Answer: Sendable {
    case blob(Digest, [UInt8]?)
    case pack(PackInfo, isThere: Bool, isMounted: Bool)
}

private struct Asker: Sendable {
    let host: any ImageHost
    let store: ChunkStore

    @Sendable
    func manifest(_ reference: RemoteReference) throws(DistributionError) -> HostedManifest? {
        try host.manifest(reference)
    }

    @Sendable
    func answer(_ question: Question) throws(DistributionError) -> Answer {
        switch question {
        case .map(let map): .blob(map.digest, try blob(map))
        case .pack(let pack): try look(for: pack)
        }
    }

    private func blob(_ map: ImageArtifact.Map) throws(DistributionError) -> [UInt8]? {
        do throws(DistributionError) {
            return try host.blob(.map, ImageArtifact.descriptor(of: map))
        } catch {
            if case .cancelled = error { throw error }
            Self.passOver(map.digest, error)
            return nil
        }
    }

    private func look(for pack: PackInfo) throws(DistributionError) -> Answer {
        let uris = store.sources(of: pack).map { store.sources.uri(of: $0) }
        if uris.contains(host.sourceURI), try host.has(.pack, pack.digest, sizeBytes: pack.sizeBytes) {
            return .pack(pack, isThere: true, isMounted: false)
        }
        for uri in uris where uri != host.sourceURI {
            if try host.adopt(pack.digest, from: uri) { return .pack(pack, isThere: true, isMounted: true) }
        }
        return .pack(pack, isThere: false, isMounted: false)
    }

    static func passOver(_ digest: Digest, _ reason: any Error) {
        Log.warning(
            "push", "an image there is not built upon", ["digest": "\(digest)", "because": "\(reason)"])
    }
}
