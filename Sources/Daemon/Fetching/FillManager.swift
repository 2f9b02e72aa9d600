// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Volumes

/// When the rest of a lazily pulled image is fetched.
enum FillPolicy: String, Sendable {
    case never, idle, now
}

/// Has the fetch engine bring whole images, as policy and people want it.
final class FillManager: Sendable {
    struct Entry {
        var policy: FillPolicy
        var isPaused = false
        /// What is missing would make other things go.
        var lacksRoom = false
        /// Under way, or over with what it could get.
        var handle: FillHandle?
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// What containers had fetched when last looked at, and when that had changed last.
        var fetchedBytes: UInt64 = 0
        var busy = MonotonicTime.now
        var hasLooked = false
    }

    private let store: VolumeStore
    private let engine: FetchEngine
    private let policy: FillPolicy
    private let idleSeconds: Double
    private let state = Lock(State())

    init(store: VolumeStore, engine: FetchEngine, policy: FillPolicy, idleSeconds: Double) {
        self.store = store
        self.engine = engine
        self.policy = policy
        self.idleSeconds = idleSeconds
    }

    /// Takes care of an image that has come, by its own policy or the configured one.
    func adopt(_ image: String, _ own: FillPolicy?) {
        let policy = own ?? policy
        state.withLock { $0.entries[image] = Entry(policy: policy) }
        if policy == .now { tick() }
    }

    /// Does what is asked for, and tells how things stand with the images that it was asked for.
    func change(_ request: FillRequest) throws(Failure) -> [FillInfo] {
        if let rate = request.bytesPerSecond {
            engine.setBytesPerSecond(rate == 0 ? nil : rate, of: .background)
        }
        var names = request.images
        for name in names {
            do throws(VolumeError) { _ = try store.image(named: name) } catch { throw Failure(error) }
        }
        if names.isEmpty { names = store.images().filter { !$0.isWhole }.map(\.name) }
        if let action = request.action {
            for name in names { change(name, action) }
            tick()
        }
        return names.map { info($0) }
    }

    private func change(_ image: String, _ action: FillRequest.Action) {
        state.withLock { state in
            var entry = state.entries[image] ?? Entry(policy: policy)
            switch action {
            case .start:
                entry = Entry(
                    policy: .now, handle: entry.handle?.progress.isOver == false ? entry.handle : nil)
                entry.handle?.resume()
            case .pause:
                entry.isPaused = true
                entry.handle?.pause()
            case .resume:
                entry.isPaused = false
                entry.handle?.resume()
            case .cancel:
                entry.handle?.cancel()
                entry = Entry(policy: .never)
            }
            state.entries[image] = entry
        }
    }

    /// Images that are being filled or wait for it.
    func list() -> [FillInfo] {
        state.withLock { $0.entries.filter { $0.value.policy != .never }.map(\.key) }.sorted().map {
            info($0)
        }
        .filter { $0.state != .complete }
    }

    /// How things stand with one image.
    func info(_ image: String) -> FillInfo {
        let record = try? store.image(named: image)
        let (data, local) = (record?.dataBytes ?? 0, record?.localBytes ?? 0)
        let entry = state.withLock { $0.entries[image] }
        return FillInfo(
            image: image, state: local >= data ? .complete : Self.state(entry), dataBytes: data,
            localBytes: local)
    }

    private static func state(_ entry: Entry?) -> FillInfo.State {
        guard let entry, entry.policy != .never else { return .off }
        if entry.isPaused { return .paused }
        if entry.lacksRoom { return .noRoom }
        switch entry.handle?.progress.state {
        case .running: return .running
        case .incomplete: return .incomplete
        default: return entry.policy == .now ? .running : .waiting
        }
    }

    /// Lets go of an image that is going away.
    func forget(_ image: ImageRecord) {
        state.withLock { $0.entries[image.name] = nil }
        guard image.isSealed, let map = try? store.residentMap(ofImage: image.name) else { return }
        engine.forget(map)
    }

    /// Looks what is to begin, to stand still or to go on; called about once a second.
    func tick() {
        store.chunks.keepCacheLimits()
        lookForLacking()
        lookForRoom()
        let isQuiet = isQuiet()
        let wanted = state.withLock { state -> [String] in
            var wanted: [String] = []
            for (name, entry) in state.entries where entry.policy != .never && !entry.isPaused {
                let mayRun = (entry.policy == .now || isQuiet) && !entry.lacksRoom
                guard let handle = entry.handle, handle.progress.state != .cancelled else {
                    if mayRun { wanted.append(name) }
                    continue
                }
                if mayRun { handle.resume() } else { handle.pause() }
            }
            return wanted
        }
        for name in wanted { begin(name) }
    }

    /// The maps of images are not touched under the lock: they may have to be waited for.
    private func begin(_ name: String) {
        guard let record = try? store.image(named: name), record.isSealed, !record.isWhole,
            let map = try? store.residentMap(ofImage: name)
        else {
            state.withLock { if $0.entries[name]?.handle == nil { $0.entries[name] = nil } }
            return
        }
        let handle = engine.fill(map, owner: record.id)
        let isWanted = state.withLock { state -> Bool in
            guard state.entries[name] != nil else { return false }
            state.entries[name]?.handle = handle
            return true
        }
        if !isWanted { handle.cancel() }
    }

    /// Filling what does not fit would only make other chunks go that are fetched again then.
    private func lookForRoom() {
        for name in state.withLock({ Array($0.entries.keys) }) {
            guard let record = try? store.image(named: name), !record.isWhole else { continue }
            let missing = (record.dataBytes ?? 0) - (record.localBytes ?? 0)
            let lacksRoom = !store.chunks.cacheHasRoom(for: missing)
            state.withLock { $0.entries[name]?.lacksRoom = lacksRoom }
        }
    }

    /// Images that came before this daemon started.
    private func lookForLacking() {
        if policy == .never || state.withLock({ $0.hasLooked }) { return }
        let lacking = store.images().filter { !$0.isWhole }.map(\.name)
        state.withLock { state in
            state.hasLooked = true
            for name in lacking where state.entries[name] == nil {
                state.entries[name] = Entry(policy: policy)
            }
        }
    }

    /// No container has fetched anything for a while.
    private func isQuiet() -> Bool {
        let classes = engine.status().classes.filter { $0.class != .background }
        let isWaiting = classes.contains { $0.waiting > 0 || $0.requests > 0 }
        let fetchedBytes = classes.reduce(0) { $0 + $1.fetchedBytes }
        return state.withLock { state in
            if isWaiting || fetchedBytes != state.fetchedBytes {
                state.fetchedBytes = fetchedBytes
                state.busy = .now
            }
            return MonotonicTime.now.seconds(since: state.busy) >= idleSeconds
        }
    }
}
