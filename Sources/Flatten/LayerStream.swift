// SPDX-License-Identifier: Apache-2.0

import Base
import OCI

/// The plain bytes of one layer, made by two threads ahead of the reader.
///
/// One thread reads, hashes and unpacks, the other hashes the plain bytes. Memory is a few buffers, whatever the
/// layer's size.
final class LayerStream: @unchecked Sendable {
    // Unchecked because: `failure` is behind a lock, threads are set once in `init`, and the rest are queues.
    private static let bufferCount = 8

    let layer: LayerSource
    private let free = BoundedQueue<PlainBuffer>(limit: bufferCount)
    private let unpacked = BoundedQueue<PlainBuffer>(limit: bufferCount)
    private let ready = BoundedQueue<PlainBuffer>(limit: bufferCount)
    private let outcome = Lock(Outcome())
    private var threads: [NamedThread] = []

    private struct Outcome {
        var failure: FlattenError?
        var packedBytes: UInt64 = 0
        var plainBytes: UInt64 = 0
    }

    /// Starts at once.
    /// - Parameter limits: more plain bytes than their total, or than their ratio allows, are refused.
    init(_ layer: LayerSource, limits: ImportLimits) throws(FlattenError) {
        self.layer = layer
        for _ in 0..<Self.bufferCount { _ = free.push(PlainBuffer()) }
        let input = try PackedInput(layer) { [outcome] count in
            outcome.withLock { $0.packedBytes += UInt64(count) }
        }
        let unpacker = try Self.unpacker(input)
        let work = Work(input: input, unpacker: unpacker)
        // The threads hold the queues, not the stream, so that dropping the stream ends them.
        let stages = Stages(free: free, unpacked: unpacked, ready: ready, outcome: outcome)
        do throws(SystemError) {
            threads.append(
                try NamedThread("slk-unpack") { stages.unpack(work, limits) })
            threads.append(try NamedThread("slk-hash") { stages.hash(work) })
        } catch {
            cancel()
            throw .system(error)
        }
    }

    deinit { cancel() }

    /// The next plain bytes, to be given back by `recycle`; nil at the end, when all checks have passed.
    func next() throws(FlattenError) -> PlainBuffer? {
        if let buffer = ready.pop() { return buffer }
        if let failure = outcome.withLock({ $0.failure }) { throw failure }
        return nil
    }

    func recycle(_ buffer: PlainBuffer) {
        _ = free.push(buffer)
    }

    /// Reads to the end, so that length and digests are checked.
    func drain() throws(FlattenError) {
        while let buffer = try next() { recycle(buffer) }
    }

    /// Bytes so far.
    var progress: (packedBytes: UInt64, plainBytes: UInt64) {
        outcome.withLock { ($0.packedBytes, $0.plainBytes) }
    }

    private func cancel() {
        for queue in [free, unpacked, ready] { queue.close(dropping: true) }
        for thread in threads { thread.join() }
        threads = []
    }

    private static func unpacker(_ input: PackedInput) throws(FlattenError) -> any Unpacker {
        switch input.layer.compression {
        case .none: PlainUnpacker(input)
        case .gzip: try GzipUnpacker(input)
        case .zstd: try ZstdUnpacker(input)
        }
    }

    /// The unpacker, used by the first thread alone until that has closed its queue, then by the second.
    private struct Work: @unchecked Sendable {
        let input: PackedInput
        let unpacker: any Unpacker
    }

    private struct Stages: Sendable {
        let free: BoundedQueue<PlainBuffer>
        let unpacked: BoundedQueue<PlainBuffer>
        let ready: BoundedQueue<PlainBuffer>
        let outcome: Lock<Outcome>

        func unpack(_ work: Work, _ limits: ImportLimits) {
            defer { unpacked.close() }
            var total: UInt64 = 0
            do throws(FlattenError) {
                while let buffer = free.pop() {
                    buffer.count = try work.unpacker.read(into: buffer.bytes)
                    total += UInt64(buffer.count)
                    try check(total, work.input, limits)
                    if buffer.count == 0 || !unpacked.push(buffer) { return }
                }
            } catch {
                outcome.withLock { $0.failure = error }
            }
        }

        private func check(
            _ plainBytes: UInt64, _ input: PackedInput, _ limits: ImportLimits
        ) throws(FlattenError) {
            let layer = "layer \(input.layer.name)"
            if plainBytes > limits.totalBytes {
                throw .limit(layer, reason: "it has more plain bytes than the limit allows")
            }
            if limits.isBomb(plainBytes: plainBytes, packedBytes: input.totalBytes) {
                let reason = "it unpacks to more than \(limits.ratio) times its size; if you trust it, raise "
                throw .limit(layer, reason: reason + "import.max_ratio")
            }
        }

        func hash(_ work: Work) {
            defer { ready.close() }
            var hasher = DigestHasher()
            while let buffer = unpacked.pop() {
                hasher.update(buffer.filled)
                outcome.withLock { $0.plainBytes += UInt64(buffer.count) }
                if !ready.push(buffer) { return }
            }
            if outcome.withLock({ $0.failure != nil }) { return }
            do throws(FlattenError) {
                try verify(work.input, hasher.digest())
            } catch {
                outcome.withLock { $0.failure = error }
            }
        }

        private func verify(_ input: PackedInput, _ plainDigest: Digest) throws(FlattenError) {
            let layer = input.layer
            try input.verify(plainDigest: layer.compression == .none ? plainDigest : nil)
            if let expected = layer.diffID, expected != plainDigest {
                throw .digestMismatch(layer.name, what: "diff_id", actual: plainDigest)
            }
        }
    }
}
