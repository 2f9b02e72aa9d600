// SPDX-License-Identifier: Apache-2.0

import Base
import OCI

/// Downloads the layers of an image side by side, those that are needed first, first.
final class LayerDownloads: Sendable {
    struct Limits: Sendable {
        /// Layers under way at once.
        var parallel = 4
        /// Longer layers go through a file.
        var layerMemoryBytes: UInt64 = 4 << 20
        /// Of all layers together, from their download until they have been read.
        var memoryBytes: UInt64 = 32 << 20
    }

    private struct State {
        /// Positions in `order` that have begun.
        var begun = 0
        var isStarted = false
        var isStopped = false
        var memoryLeft: UInt64
    }

    private let layers: [Descriptor]
    private let buffers: [LayerBuffer]
    private let limits: Limits
    private let scratch: String
    private let source: @Sendable (Descriptor) throws(OCIError) -> any BlobStream
    private let progress: @Sendable (UInt64) -> Void
    private let state: Lock<State>

    private static let pieceBytes = 256 * 1024

    /// Nothing is fetched before the first `open`.
    /// - Parameters:
    ///   - layers: lowest first, as in a manifest; they are fetched from the top, as an import reads them.
    ///   - scratch: a directory for files without names.
    ///   - source: a stream that checks size and digest at its end.
    ///   - progress: packed bytes that have arrived since the last call; on any thread.
    init(
        _ layers: [Descriptor], limits: Limits = Limits(), scratch: String,
        from source: @escaping @Sendable (Descriptor) throws(OCIError) -> any BlobStream,
        progress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) {
        self.layers = layers
        self.limits = limits
        self.scratch = scratch
        self.source = source
        self.progress = progress
        buffers = layers.map { LayerBuffer(sizeBytes: $0.sizeBytes) }
        state = Lock(State(memoryLeft: limits.memoryBytes))
    }

    /// The bytes of a layer from their start, which may still be coming.
    ///
    /// After all readers of a layer have gone it is fetched again, past the buffers.
    func open(_ index: Int) throws(OCIError) -> any BlobStream {
        try start()
        if let stream = buffers[index].open() { return stream }
        return try source(layers[index])
    }

    /// Ends what is under way, each download at its next piece, and without waiting for that.
    func stop() {
        state.withLock { $0.isStopped = true }
        fail(.stopped("layers"))
    }

    /// What is not complete will not be.
    private func fail(_ error: OCIError) {
        for buffer in buffers { buffer.finish(error) }
    }

    private func start() throws(OCIError) {
        let isFirst = state.withLock { state in
            defer { state.isStarted = true }
            return !state.isStarted
        }
        guard isFirst else { return }
        for index in 0..<min(limits.parallel, layers.count) {
            do throws(SystemError) {
                // The threads hold this object until they end, which is soon after `stop`.
                _ = try NamedThread("slk-layer", detached: true) { [self] in work() }
            } catch {
                // Fewer are slower; none is the end.
                if index == 0 { throw .system(error) }
                return
            }
        }
    }

    private func work() {
        while let index = next() {
            do throws(OCIError) {
                try prepare(index)
                try download(layers[index], into: buffers[index])
                buffers[index].finish(nil)
            } catch {
                // The image cannot come about any more; who waits for another layer hears why.
                state.withLock { $0.isStopped = true }
                return fail(error)
            }
        }
    }

    private func next() -> Int? {
        state.withLock { state in
            if state.isStopped || state.begun == layers.count { return nil }
            state.begun += 1
            return layers.count - state.begun
        }
    }

    private func prepare(_ index: Int) throws(OCIError) {
        let bytes = layers[index].sizeBytes
        if takeMemory(bytes) {
            return buffers[index].prepare(nil) { [state] in state.withLock { $0.memoryLeft += bytes } }
        }
        do throws(DistributionError) {
            buffers[index].prepare(try ScratchFile.make(in: scratch)) {}
        } catch {
            if case .system(let error) = error { throw .system(error) }
            throw .unavailable("layer \(layers[index].digest)", reason: "\(error)")
        }
    }

    private func takeMemory(_ bytes: UInt64) -> Bool {
        if bytes > limits.layerMemoryBytes { return false }
        return state.withLock { state in
            if bytes > state.memoryLeft { return false }
            state.memoryLeft -= bytes
            return true
        }
    }

    private func download(_ layer: Descriptor, into buffer: LayerBuffer) throws(OCIError) {
        let stream = try source(layer)
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 64)
        defer { piece.deallocate() }
        while true {
            if state.withLock({ $0.isStopped }) { throw .stopped("layer \(layer.digest)") }
            let count = try stream.read(into: piece)
            if count == 0 { return }
            try buffer.append(UnsafeRawBufferPointer(rebasing: piece[..<count]))
            progress(UInt64(count))
        }
    }
}
