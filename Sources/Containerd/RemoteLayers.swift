// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import OCI
import Volumes

/// Layers that need not be unpacked, since the image that they belong to is here or can be read from afar.
///
/// The topmost layer's snapshot is the image itself. Those below it are registered without content, which is
/// made only when somebody builds on one of them: another image with the same lower layers, for example.
final class RemoteLayers: Sendable {
    private struct Found {
        let image: ImageRecord
        /// Layers that the target stands for, and that the image has.
        let depth: Int
        let count: Int
        /// Where the ordinary image is.
        let origin: String
        var isTop: Bool { depth == count }
    }

    private struct State {
        /// By the image's number.
        var chains: [UInt64: [Digest]] = [:]
        /// References without block image, and until when that is believed.
        var ordinary: [String: MonotonicTime] = [:]
        /// Images that were pulled for containerd alone, and go when their topmost layer has a snapshot.
        var pulled: Set<String> = []
    }

    /// A pull asks for each of its layers; the registry is asked once.
    private static let ordinarySeconds = 60.0
    private static let rememberedLimit = 1024

    private let host: ServiceHost
    private let volumeBytes: UInt64
    private let locks = KeyLocks()
    private let state = Lock(State())

    init(_ host: ServiceHost, volumeBytes: UInt64) {
        self.host = host
        self.volumeBytes = volumeBytes
    }

    private var store: VolumeStore { host.store }

    // MARK: Registering

    /// Registers a committed snapshot for a layer of an image that need not be unpacked.
    ///
    /// - Parameter target: chain id of the layer.
    /// - Returns: false when the layer must be unpacked.
    func register(_ target: String, parent: String, labels: [String: String]) throws -> Bool {
        guard let chain = try? Digest(contentDigest: target) else { return false }
        return try locks.with(["register:" + target]) {
            guard let name = try freeName(target, parent) else { return true }
            guard let found = try find(chain, labels), (found.depth == 1) == parent.isEmpty else {
                return false
            }
            _ = try store.registerKey(
                name, parent: parent, image: found.isTop ? found.image.name : nil, origin: found.origin,
                depth: found.depth, usage: found.isTop ? usage(found.image) : KeyUsage(), labels: labels)
            if found.isTop { try settle(found.image.name, as: name) }
            return true
        }
    }

    /// A name for the snapshot; nil when one was registered before in the same place.
    ///
    /// It is the target itself, unless that stands in another place already.
    private func freeName(_ target: String, _ parent: String) throws -> String? {
        var name = target
        var count = 1
        while let record = try known(name) {
            if record.kind == .committed, !record.origin.isEmpty, record.parent == parent { return nil }
            count += 1
            name = "\(target)/\(count)"
        }
        return name
    }

    private func known(_ key: String) throws -> KeyRecord? {
        do throws(KeyError) { return try store.key(key) } catch {
            guard case .notFound = error else { throw error }
            return nil
        }
    }

    /// The snapshot has the image from now on; the name that it was pulled under goes.
    private func settle(_ image: String, as key: String) throws {
        host.adopt(image: try store.key(key).entry)
        try discard(image)
    }

    /// Removes an image that was pulled for containerd alone.
    private func discard(_ image: String) throws {
        guard state.withLock({ $0.pulled.remove(image) }) != nil else { return }
        try store.remove(image)
    }

    private func usage(_ image: ImageRecord) -> KeyUsage {
        KeyUsage(
            bytes: image.dataBytes ?? 0,
            inodes: (try? Superblock(ofImage: image.name, store))?.usedInodes ?? 0)
    }

    // MARK: Finding

    private func find(_ chain: Digest, _ labels: [String: String]) throws -> Found? {
        let references = SnapshotLabels.imageReferences.compactMap { labels[$0] }
        for image in store.images() where image.brokenReason == nil && !Names.isBehindKey(image.name) {
            if let found = match(image, chain, references) { return found }
        }
        for reference in references {
            guard let image = pull(reference) else { continue }
            if let found = match(image, chain, [reference]) { return found }
            // The name means another image by now.
            try discard(image.name)
        }
        return nil
    }

    /// Lower layers can stand for themselves only where somebody has them.
    private func match(_ image: ImageRecord, _ chain: Digest, _ references: [String]) -> Found? {
        let chains = chains(of: image)
        guard let index = chains.firstIndex(of: chain) else { return nil }
        let known = host.origin(of: image).map { "\($0)" } ?? references.first
        guard let origin = known ?? (index == chains.count - 1 ? image.name : nil) else { return nil }
        return Found(image: image, depth: index + 1, count: chains.count, origin: origin)
    }

    private func chains(of image: ImageRecord) -> [Digest] {
        if let known = state.withLock({ $0.chains[image.id] }) { return known }
        let configuration = try? ImageConfiguration(parsing: image.configuration, name: image.name)
        let chains = (try? configuration?.chainIDs()) ?? []
        state.withLock { state in
            if state.chains.count >= Self.rememberedLimit { state.chains = [:] }
            state.chains[image.id] = chains
        }
        return chains
    }

    private func pull(_ reference: String) -> ImageRecord? {
        let isOrdinary = state.withLock { state in
            guard let until = state.ordinary[reference] else { return false }
            if MonotonicTime.now < until { return true }
            state.ordinary[reference] = nil
            return false
        }
        if isOrdinary { return nil }
        let before = Set(store.images().map(\.name))
        let image = host.pullBlockImage(reference)
        state.withLock { state in
            if let image {
                if !before.contains(image.name) { state.pulled.insert(image.name) }
                return
            }
            if state.ordinary.count >= Self.rememberedLimit { state.ordinary = [:] }
            state.ordinary[reference] = .now.advanced(bySeconds: Self.ordinarySeconds)
        }
        return image
    }

    // MARK: Content

    /// Makes what a snapshot shows that has no content yet; fetches and flattens its layers.
    func fill(_ key: String) throws {
        guard !key.isEmpty, let record = try? store.key(key), isEmpty(record) else { return }
        try locks.with(["fill:" + key]) {
            let record = try store.key(key)
            guard isEmpty(record), let target = record.labels[SnapshotLabels.target] else { return }
            let chain = try Digest(contentDigest: target)
            let name = "layers/" + chain.hex
            try host.pullLayers(
                record.origin, depth: record.depth, chain: chain, as: name, sizeBytes: volumeBytes)
            try store.setImage(name, ofKey: key)
            try store.remove(name)
        }
    }

    private func isEmpty(_ record: KeyRecord) -> Bool {
        record.kind == .committed && record.entry.isEmpty
    }
}
