// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchCore {
    // MARK: Lists

    /// The absent ones of the chunks with their places, sorted by pack and offset.
    ///
    /// The caller holds references on them. Some microseconds for each ten chunks.
    func list(_ chunks: [ChunkHandle]) -> PlacedChunks {
        var list = PlacedChunks()
        var numbers: [Digest: Int32] = [:]
        var seen: Set<UInt32> = []
        seen.reserveCapacity(chunks.count)
        for start in stride(from: 0, to: chunks.count, by: StoreCore.batch) {
            let absent = chunks[start..<min(start + StoreCore.batch, chunks.count)].filter {
                !store.isPresent($0) && seen.insert($0.index).inserted
            }
            let placed = store.placed(absent)
            learn(Set(placed.lazy.compactMap { $0.place?.sources }.joined()))
            for (handle, (_, place)) in zip(absent, placed) {
                guard let place else {
                    list.homeless.append(handle.index)
                    continue
                }
                let number = numbers[place.pack.digest] ?? Int32(list.packs.count)
                if number == list.packs.count {
                    numbers[place.pack.digest] = number
                    list.packs.append(act { board, _, _ in board.pack(of: place) })
                }
                list.entries.append(
                    Walk.Entry(
                        handle: handle.index, pack: number, offset: place.offset,
                        byteCount: Int32(place.byteCount), coding: place.coding))
            }
        }
        list.entries.sort { ($0.pack, $0.offset) < ($1.pack, $1.offset) }
        return list
    }

    /// Begins to fetch a list.
    private func begin(
        _ list: PlacedChunks, of map: ResidentMap, class: FetchClass, kind: Walk.Kind, owner: UInt64 = 0,
        latest: Monitor<FillProgress>? = nil, progress: (@Sendable (FillProgress) -> Void)? = nil
    ) -> UInt64 {
        let held = decoder.heldBytes
        return act { board, now, actions in
            let walk = Walk(
                id: board.nextNumber(), map: map, owner: owner, class: `class`, kind: kind, list: list,
                store: store, progress: progress, latest: latest)
            if board.isShut { walk.isCancelled = true }
            board.walks.append(walk)
            board.pump(now, held: held, &actions)
            return walk.id
        }
    }

    // MARK: Boot streams and fills

    func preload(_ pack: PackInfo, firstBytes: UInt64, from id: SourceID) {
        let front = UInt64(Pack.headerBytes)..<min(firstBytes, pack.sizeBytes)
        learn([id])
        let source = act { board, now, _ -> FetchSource? in
            // Under a cap the board is to say how much of it may come.
            if board.isShut || board.limits.boot.bytesPerSecond != nil { return nil }
            return board.sourcesByID[id].flatMap { $0.isUsable(now) ? $0 : nil }
        }
        let range = EarlyRange(front)
        guard let object = source?.object, early.add(range, of: pack, at: object) else { return }
        range.begun(
            object.fetch(pack.name, sizeBytes: pack.sizeBytes, range: front, class: .boot, to: range))
    }

    func streamBootPack(_ map: ResidentMap) {
        let list = list(map.bootChunks)
        if list.entries.isEmpty { return }
        _ = begin(list, of: map, class: .boot, kind: .complete)
    }

    func fill(
        _ map: ResidentMap, owner: UInt64, _ progress: (@Sendable (FillProgress) -> Void)?
    ) -> FillHandle {
        let list = list(map.chunks)
        let latest = Monitor(FillProgress())
        let walk = begin(
            list, of: map, class: .background, kind: .complete, owner: owner, latest: latest,
            progress: progress)
        return FillHandle(core: self, walk: walk, latest: latest)
    }

    func setPaused(walk id: UInt64, _ isPaused: Bool) {
        let held = decoder.heldBytes
        act { board, now, actions in
            guard let walk = board.walks.first(where: { $0.id == id }) else { return }
            walk.isPaused = isPaused
            board.report(walk, isPaused ? .paused : .running, now, &actions)
            board.pump(now, held: held, &actions)
        }
    }

    func cancelWalk(_ id: UInt64) {
        act { board, _, actions in
            board.walks.first { $0.id == id }?.isCancelled = true
            actions.wakesTimer = true
        }
    }

    func forget(_ map: ResidentMap) {
        readers.forget(map)
        act { board, _, actions in
            for walk in board.walks where walk.map === map { walk.isCancelled = true }
            actions.wakesTimer = true
        }
    }

    // MARK: Read-ahead

    func noteMiss(_ map: ResidentMap, _ range: BlockRange) {
        var absent: [(handle: UInt32, bytes: Int)] = []
        let slots = store.core.slots
        map.forEachChunk(in: range) { chunk, blocks in
            if !slots[chunk.index].isPresent {
                absent.append((chunk.index, Int(blocks.count) * Block.bytes))
            }
        }
        guard let first = absent.first else { return }
        let place = store.place(of: ChunkHandle(index: first.handle))
        let (bytes, pack) = act { board, _, _ in
            let bytes = absent.reduce(0) { sum, chunk in
                sum + (board.flights[chunk.handle]?.walk?.class == .boot ? 0 : chunk.bytes)
            }
            return (bytes, place.map { board.pack(of: $0) })
        }
        let spot = pack.flatMap { pack in place.map { (pack: pack, offset: $0.offset) } }
        for step in readers.note(map, range, bytes: bytes, at: spot) {
            take(step, map, first.handle, place)
        }
    }

    private func take(_ step: ReadAhead.Step, _ map: ResidentMap, _ handle: UInt32, _ place: ChunkPlace?) {
        switch step {
        case .steer(let walk):
            if let place { act { board, _, _ in board.steer(walk, to: handle, place) } }
        case .blocks(let range):
            // By the decoder: the reader's own thread has better things to do.
            decoder.run([
                { [weak self] in self?.readAhead(map.absentHandles(in: range), of: map) }
            ])
        case .pack(let pack, let range, let order):
            decoder.run([
                { [weak self] in self?.readAhead(order.handles(in: pack, range), of: map) }
            ])
        case .list:
            inBackground { core in core.readers.setOrder(core.list(map.chunks), of: map) }
        case .everything:
            inBackground { core in
                let list = core.list(map.chunks)
                if list.entries.isEmpty || !core.store.hasRoom(for: map) { return }
                let walk = core.begin(list, of: map, class: .readAhead, kind: .complete)
                if let place { core.act { board, _, _ in board.steer(walk, to: handle, place) } }
                core.readers.setWalk(walk, of: map)
            }
        }
    }

    private func readAhead(_ chunks: [ChunkHandle], of map: ResidentMap) {
        let list = list(chunks)
        if !list.entries.isEmpty { _ = begin(list, of: map, class: .readAhead, kind: .once) }
    }

    /// Runs what takes long and that nobody waits for.
    private func inBackground(_ body: @escaping @Sendable (FetchCore) -> Void) {
        do throws(SystemError) {
            _ = try NamedThread("fetch-plan", detached: true) { [weak self] in self.map(body) }
        } catch {
            Log.warning("fetch", "no thread for planning", ["error": "\(error)"])
        }
    }
}

extension PlacedChunks {
    /// The chunks that begin in the range of the pack.
    func handles(in pack: FetchPack, _ range: Range<UInt64>) -> [ChunkHandle] {
        guard let number = packs.firstIndex(where: { $0 === pack }) else { return [] }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let entry = entries[middle]
            if (Int(entry.pack), entry.offset) < (number, range.lowerBound) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return entries[low...].prefix { Int($0.pack) == number && $0.offset < range.upperBound }
            .map { ChunkHandle(index: $0.handle) }
    }
}
