// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

/// Makes packs and sends each as soon as it is made: while one travels the next one is compressed.
struct PackLine: Sendable {
    struct Sent: Sendable {
        let pack: PackInfo
        let directory: PackDirectory
        /// The other side had it, from a push that was interrupted.
        let wasThere: Bool
    }

    let reading: ChunkReading
    let host: any ImageHost
    let level: Int32
    /// A directory for packs that are being made.
    let scratch: String
    let meter: ProgressMeter
    let isCancelled: CancellationCheck

    /// Packs that are made or sent at one time: bounds the space that they take.
    static let width = 2
    /// Chunks that are fetched together when they are absent.
    private static let batch = 256

    @Sendable
    func send(_ chunks: [ChunkDescriptor]) throws(DistributionError) -> Sent {
        let file = try ScratchFile.make(in: scratch)
        let summary = try write(chunks, to: file)
        let pack = PackInfo(digest: summary.digest, sizeBytes: summary.sizeBytes)
        if isCancelled() { throw .cancelled }
        let wasThere = try host.has(.pack, pack.digest, sizeBytes: pack.sizeBytes)
        if !wasThere {
            try host.send(
                .pack, pack.digest, from: file, sizeBytes: pack.sizeBytes, progress: { _ in },
                isCancelled: isCancelled)
        }
        meter.add(chunks.reduce(0) { $0 + UInt64($1.blockCount) } * UInt64(Block.bytes))
        return Sent(pack: pack, directory: summary.directory, wasThere: wasThere)
    }

    private func write(
        _ chunks: [ChunkDescriptor], to file: File
    ) throws(DistributionError) -> PackWriter.Summary {
        do {
            let writer = try PackWriter(file, level: level)
            for start in stride(from: 0, to: chunks.count, by: Self.batch) {
                if isCancelled() { throw DistributionError.cancelled }
                let batch = chunks[start..<min(start + Self.batch, chunks.count)]
                try reading.prepare(batch)
                for chunk in batch { try writer.add(chunk, try reading.bytes(of: chunk)) }
            }
            return try writer.finish()
        } catch let error as DistributionError {
            throw error
        } catch let error as ChunkStoreError {
            throw .chunks(error)
        } catch {
            throw .remote(host.sourceURI, reason: "\(error)")
        }
    }
}
