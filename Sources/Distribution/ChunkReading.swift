// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

/// Reads plain chunks for packs: out of the store, fetched first where absent, or cut out of larger ones.
struct ChunkReading: Sendable {
    /// A chunk that is not stored by itself: blocks of one that is.
    struct Cut: Sendable {
        let whole: ChunkDescriptor
        let first: UInt8
    }

    let image: String
    let store: ChunkStore
    let engine: FetchEngine?
    /// Chunks that are parts of stored ones.
    var cuts: [ChunkDescriptor: Cut] = [:]
    /// Keeps every stored chunk referenced meanwhile.
    let holder: ResidentMap

    private static let patienceMs = 120_000

    /// Brings those of the chunks that are absent into the store.
    func prepare(_ chunks: ArraySlice<ChunkDescriptor>) throws(DistributionError) {
        let absent = chunks.compactMap { store.handle(of: cuts[$0]?.whole ?? $0) }
            .filter { !store.isPresent($0) }
        if absent.isEmpty { return }
        guard let engine else {
            throw .unreachableChunks(image, count: absent.count, reason: "nothing here fetches chunks")
        }
        do throws(FetchFailure) {
            try engine.wantAndWait(absent, class: .background, timeoutMs: Self.patienceMs)
        } catch {
            throw .unreachableChunks(image, count: absent.count, reason: "\(error)")
        }
    }

    /// The plain bytes of a chunk that `prepare` has seen.
    func bytes(of chunk: ChunkDescriptor) throws(DistributionError) -> [UInt8] {
        let cut = cuts[chunk]
        let whole: [UInt8]
        do throws(ChunkStoreError) { whole = try store.read(cut?.whole ?? chunk) } catch {
            throw .chunks(error)
        }
        guard let cut else { return whole }
        let start = Int(cut.first) * Block.bytes
        return Array(whole[start..<start + Int(chunk.blockCount) * Block.bytes])
    }
}
