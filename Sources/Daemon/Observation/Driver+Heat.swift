// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Volumes

extension Driver {
    /// What is known of each block of an image.
    ///
    /// Walks the block maps of all images: for people, not for loops.
    func heat(of name: String) throws(Failure) -> HeatInfo {
        do throws(VolumeError) {
            let record = try store.image(named: name)
            let map = try store.residentMap(ofImage: name).map
            let profile = try store.profile(ofImage: name)
            var builder = HeatBuilder(
                touched: Self.touched(profile), shared: sharedChunks(with: name),
                isFetchable: Self.wasPulled(record))
            for extent in map.extents {
                let chunk = map.chunks[Int(extent.chunk)]
                builder.add(extent, chunk, isHere: store.chunks.contains(chunk))
            }
            return HeatInfo(
                image: name, blockCount: map.blockCount, hasProfile: profile != nil, runs: builder.runs)
        } catch {
            throw Failure(error)
        }
    }

    /// What was made here is local, also when it has been pushed since.
    private static func wasPulled(_ record: ImageRecord) -> Bool {
        let madeHere = ["oci:", "oci-archive:", "docker-archive:", "rootfs:", "volume:"]
        return !record.sources.isEmpty && !madeHere.contains(where: record.source.hasPrefix)
    }

    /// Of each chunk that a start touches, the blocks.
    private static func touched(_ profile: BootProfile?) -> [Digest: UInt16] {
        var blocks: [Digest: UInt16] = [:]
        for touch in profile?.touches ?? [] {
            for block in touch.first..<touch.first + touch.count {
                blocks[touch.chunk, default: 0] |= 1 << UInt16(block)
            }
        }
        return blocks
    }

    private func sharedChunks(with name: String) -> Set<Digest> {
        var chunks: Set<Digest> = []
        for image in store.images() where image.name != name {
            guard let map = (try? store.blockFile(image: image.name))?.map else { continue }
            chunks.formUnion(map.chunks.lazy.map(\.digest))
        }
        return chunks
    }
}

/// Puts blocks of one kind that follow each other into one run.
private struct HeatBuilder {
    let touched: [Digest: UInt16]
    let shared: Set<Digest>
    let isFetchable: Bool
    private(set) var runs: [HeatInfo.Run] = []

    init(touched: [Digest: UInt16], shared: Set<Digest>, isFetchable: Bool) {
        (self.touched, self.shared, self.isFetchable) = (touched, shared, isFetchable)
    }

    mutating func add(_ extent: Extent, _ chunk: ChunkDescriptor, isHere: Bool) {
        let mask = touched[chunk.digest] ?? 0
        let isShared = shared.contains(chunk.digest)
        for index in 0..<UInt32(extent.count) {
            let bit = UInt16(extent.offset) + UInt16(index)
            let run = HeatInfo.Run(
                start: extent.start + index, count: 1, touched: mask & 1 << bit != 0, here: isHere,
                fetchable: isFetchable, shared: isShared)
            if let last = runs.last, last.goesOn(with: run) {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(run)
            }
        }
    }
}
