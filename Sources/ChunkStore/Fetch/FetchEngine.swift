// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// A want that is not answered yet.
public struct WantID: Hashable, Sendable {
    let number: UInt64
    /// What the first of its chunks that was under way already was being fetched for; nil when none was.
    public var joined: FetchClass?
}

/// Brings absent chunks into the store, each once however many wait for it.
///
/// Every call may come from any thread, and none waits for the network unless its name says so. Completions
/// run on the engine's threads and hold up the decoding of other chunks while they run.
public final class FetchEngine: Sendable {
    let core: FetchCore

    /// - Parameters:
    ///   - limits: see there.
    ///   - resolve: the source of an id; nil when this machine does not know how to reach it. Asked again
    ///     now and then, so that a source may be configured later. Called on any thread; must not block for
    ///     long.
    public init(
        store: ChunkStore, limits: FetchLimits = FetchLimits(),
        resolve: @escaping @Sendable (SourceID) -> (any PackSource)?
    ) throws(ChunkStoreError) {
        core = try FetchCore(store: store, limits: limits, resolve: resolve)
    }

    deinit {
        core.shutDown()
    }

    /// Fetches those of the chunks that are absent.
    ///
    /// The caller holds references on the chunks until the call returns; then the engine holds its own.
    /// - Parameters:
    ///   - owner: who wants them, for `cancel(owner:)`; 0: nobody in particular.
    ///   - completion: called once, on an engine thread, when all are present, or with the failure.
    /// - Returns: nil when all are present already; `completion` is called in this case too.
    @discardableResult
    public func want(
        _ chunks: [ChunkHandle], class: FetchClass, owner: UInt64 = 0,
        completion: @escaping @Sendable (FetchFailure?) -> Void
    ) -> WantID? {
        core.want(chunks, class: `class`, owner: owner, completion)
    }

    /// Fetches those of the chunks that are absent and waits for them; for plain threads that are not the
    /// engine's.
    /// - Throws: `timedOut` when it takes longer than the caller wants to wait; the fetch goes on.
    public func wantAndWait(
        _ chunks: [ChunkHandle], class: FetchClass, timeoutMs: Int
    ) throws(FetchFailure) {
        try core.wantAndWait(chunks, class: `class`, seconds: Double(timeoutMs) / 1000)
    }

    /// Takes a want back: its completion hears `cancelled`, unless it has been called.
    public func cancel(_ want: WantID) {
        core.cancel(want)
    }

    /// Takes back all wants and ends all fills of an owner.
    public func cancel(owner: UInt64) {
        core.cancel(owner: owner)
    }

    /// Ends read-ahead, boot stream and fills of a map, whose image goes away.
    public func forget(_ map: ResidentMap) {
        core.forget(map)
    }

    /// Fetches what is absent of the map's boot pack, in its order and as one request unless little is
    /// absent.
    ///
    /// Chunks are published as they arrive; demand reads of them wait for the stream. Does nothing for a map
    /// without a boot pack.
    public func streamBootPack(_ map: ResidentMap) {
        core.streamBootPack(map)
    }

    /// Begins to read the front of a boot pack while the map that names its chunks is still on its way.
    ///
    /// `streamBootPack` goes on with it when it wants bytes of that part, and of the same source; to be ended
    /// with `endPreload` in any case.
    /// - Parameter firstBytes: where the part ends, behind the pack's header.
    public func preload(_ pack: PackInfo, firstBytes: UInt64, from source: SourceID) {
        precondition(firstBytes > UInt64(Pack.headerBytes), "a preload has bytes")
        core.preload(pack, firstBytes: firstBytes, from: source)
    }

    /// Ends a preload, unless a boot stream goes on with it.
    public func endPreload(_ pack: PackInfo) {
        core.early.remove(pack)?.cancel()
    }

    /// Fetches everything of the map that is absent, in the background, and keeps at it through outages.
    /// - Parameters:
    ///   - owner: for `cancel(owner:)`.
    ///   - progress: called on an engine thread after each request and at the end, never twice at once.
    public func fill(
        _ map: ResidentMap, owner: UInt64,
        progress: (@Sendable (FillProgress) -> Void)? = nil
    ) -> FillHandle {
        core.fill(map, owner: owner, progress)
    }

    /// Tells that a reader found this range absent: read-ahead follows from it.
    ///
    /// Cheap.
    public func noteMiss(_ map: ResidentMap, _ range: BlockRange) {
        core.noteMiss(map, range)
    }

    /// Sets the bytes per second of a class; nil: no bound.
    public func setBytesPerSecond(_ rate: UInt64?, of class: FetchClass) {
        core.setBytesPerSecond(rate, of: `class`)
    }

    public func status() -> FetchStatus {
        core.status()
    }

    /// Ends all requests, answers every want with `cancelled` and ends the threads.
    ///
    /// Nothing may be wanted
    /// afterwards but is answered in the same way. Not to be called on an engine thread.
    public func shutDown() {
        core.shutDown()
    }
}
