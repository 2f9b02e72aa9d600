// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

/// Turns one frozen delta over a sealed snapshot into a block map of its own.
///
/// A crash at any point leaves the frozen delta in charge; chunks and map that nothing refers to go at the
/// next start, and the work begins anew.
struct Seal {
    private let registry: Registry
    private let isCancelled: () -> Bool

    init(_ registry: Registry, isCancelled: @escaping () -> Bool) {
        self.registry = registry
        self.isCancelled = isCancelled
    }

    /// New content: ranges of blocks that changed, and where those that are not zeros lie.
    private struct Changes {
        var replaced: [BlockRange] = []
        var pieces: [(start: UInt32, chunk: ChunkDescriptor, offset: UInt8, count: UInt8)] = []
    }

    /// What is not here is not needed: the new map refers to the parent's chunks, absent ones as well.
    ///
    /// Returns false when the snapshot was removed meanwhile.
    func run(_ snapshot: Snapshot) throws(VolumeError) -> Bool {
        guard case .layered(let delta, let below) = snapshot.currentContent else { return true }
        if let reason = snapshot.brokenReason { throw .broken("snapshot", reason: reason) }
        let session = registry.chunks.beginIngest()
        defer { session.release() }
        let base = below?.map ?? BlockMap(zeros: delta.blockCount)
        let map: BlockMap
        let resident: ResidentMap
        let places: PlaceTable
        do {
            let changes = try ingest(delta, session)
            try session.commit()
            map = merge(base, changes, delta)
            places = registry.chunks.places(for: map)
            resident = try registry.chunks.attach(map, places: nil, sources: [])
        } catch {
            throw Self.error(error)
        }
        let encoded = EncodedBlockMap(map)
        let isInstalled = try registry.keepingMap(encoded) { () throws(VolumeError) in
            try registry.maps.write(places, encoded.digest)
            inheritProfile(encoded.digest, from: below?.digest)
            return try install(snapshot, resident, encoded.digest, below, uris(places))
        }
        try registry.catalog.flush()
        if isInstalled {
            try delta.removeFiles()
            releasePins(of: resident, places, snapshot)
        }
        try collectBelow()
        return isInstalled
    }

    /// What the parent's sources have need not stay here, now that both table and sources are durable.
    private func releasePins(of resident: ResidentMap, _ places: PlaceTable, _ snapshot: Snapshot) {
        guard let ids = try? registry.chunks.sources.intern(snapshot.sources) else { return }
        resident.releasePins(coveredBy: places, sources: ids)
    }

    /// URIs of those who have the packs of a table.
    private func uris(_ places: PlaceTable) -> [String] {
        var seen: Set<SourceID> = []
        return places.packs.flatMap { registry.chunks.sources(of: $0) }
            .filter { seen.insert($0).inserted }.map { registry.chunks.sources.uri(of: $0) }
    }

    /// Until one is recorded for the new image, its parent's says best what its containers read first.
    private func inheritProfile(_ digest: Digest, from origin: Digest?) {
        guard let origin, !registry.maps.profiles.exists(digest) else { return }
        guard let profile = try? registry.maps.readProfile(origin) else { return }
        try? registry.maps.write(profile, digest)
    }

    private static func error(_ error: any Error) -> VolumeError {
        switch error {
        case let error as VolumeError: error
        case let error as ChunkStoreError: .chunks(error)
        case let error as SystemError: .system(error)
        default: .catalog("\(error)")
        }
    }

    private func ingest(_ delta: Delta, _ session: IngestSession) throws -> Changes {
        var changes = Changes()
        guard let data = delta.files.withLock({ $0.data }) else { return changes }
        var buffer = [UInt8](repeating: 0, count: Block.maximumChunkBytes)
        var block: UInt32 = 0
        while block < delta.blockCount {
            let run = delta.states.run(from: block, to: delta.blockCount)
            if run.state != .clean { Self.append(block, run.end, to: &changes.replaced) }
            while run.state == .data, block < run.end {
                if isCancelled() { throw VolumeError.catalog("the store is closing") }
                let grid = UInt32(Block.maximumPerChunk)
                let end = min(run.end, UInt32(clamping: (UInt64(block / grid) + 1) * UInt64(grid)))
                try add(BlockRange(start: block, count: end - block), data, &buffer, session, &changes)
                block = end
            }
            block = run.end
        }
        return changes
    }

    private static func append(_ start: UInt32, _ end: UInt32, to ranges: inout [BlockRange]) {
        if let last = ranges.last, last.end == start {
            ranges[ranges.count - 1] = BlockRange(start: last.start, count: end - last.start)
        } else {
            ranges.append(BlockRange(start: start, count: end - start))
        }
    }

    /// Ingests up to 16 blocks, leaving out those that are all zeros.
    private func add(
        _ range: BlockRange, _ data: File, _ buffer: inout [UInt8], _ session: IngestSession,
        _ changes: inout Changes
    ) throws {
        try buffer.withUnsafeMutableBytes { buffer in
            let whole = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(Int(range.count) * Block.bytes)])
            let count = try data.read(into: whole, at: UInt64(range.start) * UInt64(Block.bytes))
            if count < whole.count { throw SystemError(EIO, "pread", data.path) }
            var first = 0
            while first < Int(range.count) {
                var end = first
                while end < Int(range.count), !Self.isZero(whole, block: end) { end += 1 }
                if end > first {
                    let part = UnsafeRawBufferPointer(
                        rebasing: whole[first * Block.bytes..<end * Block.bytes])
                    if let chunk = try session.add(part) {
                        changes.pieces.append((range.start + UInt32(first), chunk, 0, UInt8(end - first)))
                    }
                }
                first = end + 1
            }
        }
    }

    private static func isZero(_ bytes: UnsafeMutableRawBufferPointer, block: Int) -> Bool {
        let part = UnsafeMutableRawBufferPointer(
            rebasing: bytes[block * Block.bytes..<(block + 1) * Block.bytes])
        return part.withMemoryRebound(to: UInt64.self) { words in words.allSatisfy { $0 == 0 } }
    }

    /// The parent's map with the changes; what the parent must not show any more goes too.
    private func merge(_ base: BlockMap, _ changes: Changes, _ delta: Delta) -> BlockMap {
        let limit = min(delta.parentLimit, base.blockCount)
        var replaced: [BlockRange] = []
        for range in changes.replaced where range.start < limit {
            replaced.append(range.intersection(BlockRange(start: 0, count: limit)))
        }
        if limit < base.blockCount {
            Self.append(limit, base.blockCount, to: &replaced)
        }
        return base.replacing(blockCount: delta.blockCount, replaced, with: changes.pieces)
    }

    /// Switches the snapshot over, in the catalog and for its readers; false if it was removed meanwhile.
    private func install(
        _ snapshot: Snapshot, _ resident: ResidentMap, _ digest: Digest, _ below: Snapshot?,
        _ packSources: [String]
    ) throws(VolumeError) -> Bool {
        try registry.state.withLock { (state) throws(VolumeError) in
            guard state.snapshots[snapshot.id] === snapshot else { return false }
            let origin = below?.digest
            // What the parent was pushed to since.
            let sources = Registry.union(snapshot.sources, (below?.sources ?? []) + packSources)
            try registry.catalog.transaction { db in
                try Catalog.seal(snapshot: snapshot.id, map: digest, origin: origin, db)
                try Catalog.setSources(sources, of: snapshot.id, db)
            }
            snapshot.setSources(sources)
            snapshot.seal(resident, digest: digest, origin: origin)
            return true
        }
    }

    /// The snapshot below may have lived for this one only.
    private func collectBelow() throws(VolumeError) {
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            try registry.takeGarbage(&state, &garbage)
        }
        try registry.dispose(garbage)
    }
}
