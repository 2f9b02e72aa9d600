// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks
public import ChunkStore
public import Ext4
public import OCI

/// An image as one file system.
public struct FlattenedImage: Sendable {
    /// The whole volume.
    ///
    /// Equal layers and options give equal maps, whatever the store held before.
    public let map: BlockMap
    public let configuration: ImageConfiguration
    /// The configuration as it came, byte for byte.
    public let configurationBytes: [UInt8]
    public let counters: ImportCounters
}

/// Flattens the layers of an image into one file system, as a union mount would show them.
///
/// Layers are read from the top down, so that what upper layers hide is never stored. Each is streamed: memory
/// grows with the number of entries and not with their size, and no unpacked copy touches the disk.
/// `docs/flatten.md` has the rules of the union.
public struct Importer {
    private let layers: [LayerSource]
    private let session: IngestSession
    private let progress: @Sendable (ImportProgress) -> Void
    private let isCancelled: @Sendable () -> Bool
    private var budget: ImportBudget
    private var merged = MergedTree()
    private var finishedBytes: UInt64 = 0

    /// Runs an import to its end on the calling thread, with two more threads for each of at most two layers.
    ///
    /// The chunks are held by the session; the caller commits it, or releases it after a failure.
    /// - Parameters:
    ///   - progress: called on the calling thread, ten times a second at most.
    ///   - isCancelled: asked often; the import then throws `.cancelled`.
    public static func run(
        _ source: ResolvedImage, into session: IngestSession, options: FormatOptions = FormatOptions(),
        limits: ImportLimits = ImportLimits(),
        progress: @escaping @Sendable (ImportProgress) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(FlattenError) -> FlattenedImage {
        if source.layers.count > limits.layerCount {
            let reason = "it has \(source.layers.count) layers; at most \(limits.layerCount) are read"
            throw .limit("image", reason: reason)
        }
        var importer = Importer(source.layers, session, limits, progress, isCancelled)
        try importer.readLayers()
        try importer.merged.finish()
        importer.budget.counters.inodes = importer.merged.reachableInodes
        return FlattenedImage(
            map: try importer.format(options), configuration: source.configuration,
            configurationBytes: source.configurationBytes, counters: importer.budget.counters)
    }

    private init(
        _ layers: [LayerSource], _ session: IngestSession, _ limits: ImportLimits,
        _ progress: @escaping @Sendable (ImportProgress) -> Void,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.layers = layers.reversed()
        self.session = session
        self.progress = progress
        self.isCancelled = isCancelled
        budget = ImportBudget(limits: limits)
    }

    private mutating func readLayers() throws(FlattenError) {
        var next = try layers.first.map { layer throws(FlattenError) in try open(layer) }
        for index in layers.indices {
            guard let stream = next else { return }
            // The layer after this one fills its few buffers meanwhile, and waits.
            next = index + 1 < layers.count ? try open(layers[index + 1]) : nil
            try read(stream, index)
        }
    }

    private func open(_ layer: LayerSource) throws(FlattenError) -> LayerStream {
        var rest = budget.limits
        rest.totalBytes -= budget.counters.plainBytes
        return try LayerStream(layer, limits: rest)
    }

    private mutating func read(_ stream: LayerStream, _ index: Int) throws(FlattenError) {
        let reader = try LayerReader(stream, into: session, onBuffer: watch(stream, index))
        var layer = try reader.read(over: merged, &budget)
        let plan = try merged.plan(layer, name: stream.layer.name)
        if !plan.missingContent.isEmpty {
            let again = try open(stream.layer)
            try LayerReader(again, into: session, onBuffer: watch(nil, index))
                .fill(plan.missingContent, of: &layer, &budget)
            budget.counters.rereadLayers += 1
        }
        merged.apply(plan, of: layer, try descriptors())
        let done = stream.progress
        finishedBytes += done.packedBytes
        budget.counters.packedBytes += done.packedBytes
        budget.counters.plainBytes += done.plainBytes
        if budget.counters.plainBytes > budget.limits.totalBytes {
            let reason = "its layers have more than \(budget.limits.totalBytes) plain bytes"
            throw .limit("image", reason: reason)
        }
    }

    /// What happens at every buffer of a layer: progress, and an end to a cancelled import.
    private func watch(_ stream: LayerStream?, _ index: Int) -> () throws(FlattenError) -> Void {
        let total = layers.reduce(0) { $0 + $1.sizeBytes }
        let (before, count) = (finishedBytes, layers.count)
        var last = MonotonicTime(nanoseconds: 0)
        return { [progress, isCancelled] () throws(FlattenError) in
            if isCancelled() { throw .cancelled }
            let now = MonotonicTime.now
            guard let stream, now.seconds(since: last) >= 0.1 else { return }
            last = now
            progress(
                ImportProgress(
                    doneBytes: before + stream.progress.packedBytes, totalBytes: total, layer: index + 1,
                    layerCount: count))
        }
    }

    private func descriptors() throws(FlattenError) -> [ChunkDescriptor?] {
        do throws(ChunkStoreError) { return try session.descriptors() } catch { throw .store(error) }
    }

    private func format(_ options: FormatOptions) throws(FlattenError) -> BlockMap {
        do {
            return try Formatter.format(merged.tree, options: options) { metadata in
                try metadata.withUnsafeBytes { bytes throws(ChunkStoreError) in try session.add(bytes) }
            }
        } catch let error as ChunkStoreError {
            throw .store(error)
        } catch {
            throw .format("\(error)")
        }
    }
}
