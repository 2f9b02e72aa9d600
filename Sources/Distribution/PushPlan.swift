// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

/// Which chunks go into new packs, and which packs that are there are used.
struct PushPlan: Sendable {
    /// What each new pack holds; that of the boot pack first, if there is a new one.
    private(set) var packs: [[ChunkDescriptor]] = []
    /// The first of `packs` is a boot pack.
    private(set) var makesBootPack = false
    /// A boot pack that is there and good enough.
    private(set) var keptBootPack: BootPack?

    /// A boot pack that is there is kept as long as it has this share of what is wanted.
    private static let keptShare = 0.8
    /// An image of more packs than this has small ones put together.
    private static let crowdedPacks = 160
    private static let roomyPacks = 64
    /// New packs grow so that there are not many more than this.
    private static let usualPacks: UInt64 = 128
}

extension PushPlan {
    /// - Parameter base: the image there that the new one is a difference to.
    init(_ boot: BootPlan, known: KnownPlaces, base: AssembledImage?, packBytes: UInt64) {
        var taken: Set<ChunkDescriptor> = []
        keptBootPack = Self.keptBootPack(boot, known, base)
        if keptBootPack == nil, !boot.order.isEmpty {
            packs.append(boot.order)
            makesBootPack = true
            taken.formUnion(boot.order)
        }
        let crowd = Self.crowded(boot.map, known, except: taken)
        let touched = keptBootPack == nil ? [] : boot.order
        // What was touched stays together even if it has no boot pack of its own.
        let wanted = (touched + boot.map.chunks).filter { chunk in
            (known[chunk] == nil || crowd.contains(chunk)) && taken.insert(chunk).inserted
        }
        split(wanted, packBytes)
    }

    private mutating func split(_ chunks: [ChunkDescriptor], _ packBytes: UInt64) {
        let total = chunks.reduce(0) { $0 + UInt64($1.blockCount) } * UInt64(Block.bytes)
        let limit = max(packBytes, UInt64(Block.maximumChunkBytes), total / Self.usualPacks)
        var pack: [ChunkDescriptor] = []
        var bytes: UInt64 = 0
        // By plain bytes, which the stored ones never exceed: so the packs of a push that is repeated are
        // equal, and can be made side by side.
        for chunk in chunks {
            let size = UInt64(chunk.blockCount) * UInt64(Block.bytes)
            if bytes + size > limit || pack.count == Pack.maximumChunks {
                packs.append(pack)
                pack = []
                bytes = 0
            }
            pack.append(chunk)
            bytes += size
        }
        if !pack.isEmpty { packs.append(pack) }
    }

    private static func keptBootPack(
        _ boot: BootPlan, _ known: KnownPlaces, _ base: AssembledImage?
    ) -> BootPack? {
        guard let base, let index = base.places.bootPack else { return nil }
        let pack = base.places.packs[index]
        let streamed = base.places.bootOrder.map { base.map.chunks[$0] }
        func bytes(_ chunks: [ChunkDescriptor]) -> Double {
            chunks.reduce(0) { $0 + Double($1.blockCount) }
        }
        let mine = boot.order.isEmpty ? Set(boot.map.chunks) : Set(boot.order)
        let useful = bytes(streamed.filter(mine.contains))
        let wanted = boot.order.isEmpty ? bytes(streamed) : max(bytes(boot.order), bytes(streamed))
        if useful == 0 || useful < wanted * keptShare { return nil }
        return BootPack(pack: pack, chunks: base.places.bootChunks)
    }

    /// Chunks of the least used packs, when an image draws on very many.
    private static func crowded(
        _ map: BlockMap, _ known: KnownPlaces, except taken: Set<ChunkDescriptor>
    ) -> Set<ChunkDescriptor> {
        var used: [Int: [ChunkDescriptor]] = [:]
        for chunk in map.chunks where !taken.contains(chunk) {
            if let place = known[chunk] { used[place.pack, default: []].append(chunk) }
        }
        if used.count <= crowdedPacks { return [] }
        let bySize = used.values.sorted { $0.count < $1.count }
        return Set(bySize.prefix(used.count - roomyPacks).joined())
    }
}
