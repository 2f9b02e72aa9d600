// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore

/// The block map of an artifact, put together from its blobs, with the place of each of its chunks.
struct AssembledImage: Sendable {
    let artifact: ImageArtifact
    let encoded: EncodedBlockMap
    var map: BlockMap { encoded.map }
    /// Its packs are those of the artifact, in that order; every chunk has a place.
    let places: PlaceTable

    /// Puts together what the blobs say, and believes nothing that does not fit the rest.
    /// - Parameter blobs: of `artifact.maps`, in that order, checked against their digests.
    init(_ artifact: ImageArtifact, blobs: [[UInt8]]) throws(MapBlobError) {
        precondition(blobs.count == artifact.maps.count)
        var content: (map: EncodedBlockMap, places: PlaceTable)?
        for (index, frame) in blobs.enumerated() {
            guard let plain = ZstdFrame.decompress(frame, byteCount: artifact.maps[index].plainBytes) else {
                throw MapBlobError("its map \(index + 1) cannot be decompressed")
            }
            let blob = try MapBlob(decoding: plain)
            if blob.isDifference != (content != nil) {
                throw MapBlobError("its map \(index + 1) is a difference or a whole one in the wrong place")
            }
            content = try Self.apply(blob, to: content)
        }
        guard let content, content.map.map.blockCount > 0, content.map.digest == artifact.mapDigest else {
            throw MapBlobError("its map is not the one that it promises")
        }
        try Self.check(content.places, artifact)
        self.artifact = artifact
        encoded = content.map
        places = content.places
    }

    private static func apply(
        _ blob: MapBlob, to before: (map: EncodedBlockMap, places: PlaceTable)?
    ) throws(MapBlobError) -> (map: EncodedBlockMap, places: PlaceTable) {
        do {
            guard let before else {
                let map = try EncodedBlockMap(decoding: blob.map)
                return (map, try PlaceTable(decoding: blob.places, for: map.map))
            }
            let map = EncodedBlockMap(try before.map.map.applying(difference: blob.map))
            let places = try PlaceTable(
                decodingDifference: blob.places, for: map.map, from: before.places, of: before.map.map)
            return (map, places)
        } catch {
            throw MapBlobError("\(error)")
        }
    }

    /// Every chunk lies among those of a pack that the manifest names: behind the header, before the footer.
    private static func check(_ table: PlaceTable, _ artifact: ImageArtifact) throws(MapBlobError) {
        if table.packs != artifact.packs { throw MapBlobError("its packs are not those of its map") }
        for place in table.places {
            guard let place else { throw MapBlobError("it gives no place for some chunk") }
            let (end, overflow) = place.offset.addingReportingOverflow(UInt64(place.byteCount))
            let limit = table.packs[place.pack].sizeBytes - UInt64(Pack.footerBytes)
            if overflow || place.offset < ImageArtifact.packHeaderBytes || end > limit {
                throw MapBlobError("it lets a chunk leave its pack")
            }
        }
    }
}
