// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Glibc
import OCI

/// A bucket, a directory or a web server as the other side of a push or pull.
///
/// Packs and map blobs are objects named by their digest. The manifest lies under the image's name and
/// carries the configuration in itself.
struct ObjectHost: ImageHost {
    let sourceURI: String
    private let place: ObjectPlace
    private let scratch: String

    var storesConfiguration: Bool { false }

    init(_ uri: String, _ place: ObjectPlace, scratch: String) {
        sourceURI = uri
        self.place = place
        self.scratch = scratch
    }

    func manifest(_ reference: RemoteReference) throws(DistributionError) -> HostedManifest? {
        guard case .objects(_, let name) = reference else { return nil }
        let object = try Self.wrapping { () throws(ChunkStoreError) in try place.backend.readName(name) }
        return object.map {
            HostedManifest(
                bytes: $0.bytes, mediaType: MediaType.ociManifest, digest: Digest(hashing: $0.bytes))
        }
    }

    func attached(to digest: Digest) throws(DistributionError) -> [Descriptor] { [] }

    func blob(_ kind: BlobKind, _ descriptor: Descriptor) throws(DistributionError) -> [UInt8] {
        let name = try Self.name(kind, descriptor.digest)
        let bytes = try Self.wrapping { () throws(ChunkStoreError) in
            try place.backend.read(name, at: 0, count: Int(descriptor.sizeBytes))
        }
        if Digest(hashing: bytes) != descriptor.digest {
            throw .remote("\(sourceURI) \(name)", reason: "its bytes do not have that digest")
        }
        return bytes
    }

    func has(_ kind: BlobKind, _ digest: Digest, sizeBytes: UInt64) throws(DistributionError) -> Bool {
        let name = try Self.name(kind, digest)
        return try Self.wrapping { () throws(ChunkStoreError) in try place.backend.size(of: name) }
            == sizeBytes
    }

    func adopt(_ digest: Digest, from sourceURI: String) throws(DistributionError) -> Bool { false }

    func send(
        _ kind: BlobKind, _ digest: Digest, from file: File, sizeBytes: UInt64,
        progress: @escaping @Sendable (UInt64) -> Void, isCancelled: @escaping CancellationCheck
    ) throws(DistributionError) {
        try requireWritable()
        let name = try Self.name(kind, digest)
        try Self.wrapping { () throws(ChunkStoreError) in try place.backend.put(name, contentsOf: file) }
    }

    func send(_ kind: BlobKind, _ bytes: [UInt8]) throws(DistributionError) {
        try requireWritable()
        let file = try ScratchFile.make(in: scratch)
        do throws(SystemError) { try file.write(bytes, at: 0) } catch { throw .system(error) }
        let name = try Self.name(kind, Digest(hashing: bytes))
        try Self.wrapping { () throws(ChunkStoreError) in try place.backend.put(name, contentsOf: file) }
    }

    func publish(
        _ manifest: [UInt8], _ reference: RemoteReference, subject: Descriptor?
    ) throws(DistributionError) -> Digest {
        guard case .objects(_, let name) = reference else {
            throw .badReference("\(reference)", reason: "it names no image in \(sourceURI)")
        }
        try requireWritable()
        _ = try Self.wrapping { () throws(ChunkStoreError) in
            try place.backend.writeName(name, bytes: manifest, if: .always)
        }
        return Digest(hashing: manifest)
    }

    func requireWritable() throws(DistributionError) {
        if !place.isWritable { throw .readOnlyPlace(sourceURI) }
    }

    private static func name(_ kind: BlobKind, _ digest: Digest) throws(DistributionError) -> ObjectName {
        switch kind {
        case .pack: ObjectName(.pack, digest)
        case .map: ObjectName(.blockMap, digest)
        case .configuration:
            throw .badArtifact("\(digest)", reason: "its manifest does not carry the configuration")
        }
    }

    private static func wrapping<T>(
        _ body: () throws(ChunkStoreError) -> T
    ) throws(DistributionError) -> T {
        do throws(ChunkStoreError) { return try body() } catch { throw .chunks(error) }
    }
}

/// Files that no name leads to.
enum ScratchFile {
    /// Makes one; its space is given back when it is closed, whatever happens.
    static func make(in directory: String) throws(DistributionError) -> File {
        let path = directory + "/new." + String(UInt64.random(in: 0 ... .max))
        do throws(SystemError) {
            try Directories.create(directory)
            let file = try File(open: path, O_RDWR | O_CREAT | O_EXCL)
            try Directories.removeFile(path)
            return file
        } catch {
            throw .system(error)
        }
    }
}
