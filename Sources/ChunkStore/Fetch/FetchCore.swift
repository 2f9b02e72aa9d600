// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

final class FetchCore: Sendable {
    init(
        store: ChunkStore, limits: FetchLimits, resolve: @escaping @Sendable (SourceID) -> (any PackSource)?
    ) throws(ChunkStoreError) {}

    func want(
        _ chunks: [ChunkHandle], class: FetchClass, owner: UInt64,
        _ completion: @escaping @Sendable (FetchFailure?) -> Void
    ) -> WantID? { nil }
    func wantAndWait(_ chunks: [ChunkHandle], class: FetchClass, seconds: Double) throws(FetchFailure) {}
    func cancel(_ want: WantID) {}
    func cancel(owner: UInt64) {}
    func forget(_ map: ResidentMap) {}
    func streamBootPack(_ map: ResidentMap) {}
    func fill(
        _ map: ResidentMap, owner: UInt64, _ progress: (@Sendable (FillProgress) -> Void)?
    ) -> FillHandle { FillHandle(core: self, walk: 0, latest: Monitor(FillProgress())) }
    func noteMiss(_ map: ResidentMap, _ range: BlockRange) {}
    func setBytesPerSecond(_ rate: UInt64?, of class: FetchClass) {}
    func status() -> FetchStatus { FetchStatus() }
    func shutDown() {}
    func setPaused(walk: UInt64, _ isPaused: Bool) {}
    func cancelWalk(_ walk: UInt64) {}
}
