// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

/// What is kept of a snapshot's content beside its chunks, in files named by the digest of its block map.
///
/// A map is written once and never changed. Its table of places says where absent chunks lie, and is replaced
/// when more is known; its boot profile says what is read first. Both go with the map.
struct MapFiles: Sendable {
    let maps: DigestFiles
    let places: DigestFiles
    let profiles: DigestFiles

    init(root: String) {
        // A map of 16 TiB in blocks of their own would be larger.
        maps = DigestFiles(directory: root + "/maps", suffix: ".map", maximumBytes: 4 << 30)
        places = DigestFiles(directory: root + "/maps", suffix: ".places", maximumBytes: 4 << 30)
        profiles = DigestFiles(
            directory: root + "/profiles", suffix: ".profile", maximumBytes: BootProfile.maximumBytes)
    }

    static func directories(_ root: String) -> [String] { [root + "/maps", root + "/profiles"] }

    /// Makes the map's file and makes it durable, unless it is there.
    func write(_ map: EncodedBlockMap) throws(VolumeError) {
        let path = maps.path(map.digest)
        if let size = try? File(open: path, O_RDONLY).size(), size == UInt64(map.bytes.count) { return }
        try catching { () throws(SystemError) in try maps.write(map.bytes, map.digest) }
    }

    /// Reads a map back and checks that it is the one that its name promises.
    func read(_ digest: Digest) throws -> BlockMap {
        guard let bytes = try maps.read(digest) else {
            throw SystemError(ENOENT, "open", maps.path(digest))
        }
        let found = Digest(hashing: bytes)
        if found != digest { throw BlockMapError.checksumMismatch }
        return try BlockMap(decoding: bytes)
    }

    /// Makes the table of places durable; one that knows no place takes no file.
    func write(_ table: PlaceTable, _ digest: Digest) throws(VolumeError) {
        if table.packs.isEmpty { return }
        try catching { () throws(SystemError) in try places.write(table.encode(), digest) }
    }

    /// The table of places of a map; nil when there is none.
    func readPlaces(_ digest: Digest, of map: BlockMap) throws -> PlaceTable? {
        guard let bytes = try places.read(digest) else { return nil }
        return try PlaceTable(decoding: bytes, for: map)
    }

    func write(_ profile: BootProfile, _ digest: Digest) throws(VolumeError) {
        try catching { () throws(SystemError) in try profiles.write(profile.encode(), digest) }
    }

    /// The boot profile of a map; nil when there is none.
    func readProfile(_ digest: Digest) throws -> BootProfile? {
        guard let bytes = try profiles.read(digest) else { return nil }
        return try BootProfile(decoding: bytes)
    }

    /// The names of all files that a map may have.
    func names(_ digest: Digest) -> [String] {
        [maps.name(digest), places.name(digest), profiles.name(digest)]
    }

    /// Removes everything of the map.
    func remove(_ digest: Digest) {
        maps.remove(digest)
        places.remove(digest)
        profiles.remove(digest)
    }
}
