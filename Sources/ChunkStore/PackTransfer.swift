// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks
import Glibc

/// Moves block maps with their chunks between a store and a backend.
public enum PackTransfer {
    /// Plain size after which a pack is closed and the next one begun, unless the caller says otherwise.
    public static let defaultPackBytes: UInt64 = 64 << 20

    /// Bounds what is read into memory before it has been checked: the map of a 1 TiB volume fits.
    private static let maximumMapBytes: UInt64 = 1 << 30

    /// What an export made.
    public struct Export: Sendable, Equatable {
        public let map: ObjectName
        /// The packs that were written, in the order of the map's chunks.
        public let packs: [ObjectName]
    }

    /// Writes the chunks of an attached map, in its order, as packs, and then the map.
    /// - Parameters:
    ///   - known: chunks that the other side has and that are left out.
    ///   - scratch: a directory for packs that are being made.
    ///   - packBytes: stored bytes after which a pack is closed.
    public static func export(
        _ resident: ResidentMap, of store: ChunkStore, to backend: any Backend, known: Set<Digest> = [],
        scratch: String, packBytes: UInt64 = defaultPackBytes, level: Int32 = Pack.defaultLevel
    ) throws(ChunkStoreError) -> Export {
        let map = resident.map
        var packs: [ObjectName] = []
        var chunks = map.chunks.filter { !known.contains($0.digest) }[...]
        while !chunks.isEmpty {
            packs.append(
                try withScratchFile(scratch) { (file) throws(ChunkStoreError) in
                    let writer = try PackWriter(file, level: level)
                    while let chunk = chunks.first, writer.sizeBytes < packBytes,
                        writer.chunkCount < Pack.maximumChunks
                    {
                        try writer.add(chunk, try store.read(chunk))
                        chunks.removeFirst()
                    }
                    let name = ObjectName(.pack, try writer.finish().digest)
                    try backend.put(name, contentsOf: file)
                    return name
                })
        }
        let encoded = map.encode()
        let name = ObjectName(.blockMap, Digest(hashing: encoded))
        try withScratchFile(scratch) { (file) throws(ChunkStoreError) in
            do throws(SystemError) { try file.write(encoded, at: 0) } catch { throw ChunkStoreError(error) }
            try backend.put(name, contentsOf: file)
        }
        return Export(map: name, packs: packs)
    }

    private static func withScratchFile<T>(
        _ directory: String, _ body: (File) throws(ChunkStoreError) -> T
    ) throws(ChunkStoreError) -> T {
        let path = directory + "/pack." + String(UInt64.random(in: 0 ... .max))
        let file: File
        do throws(SystemError) {
            file = try File(open: path, O_RDWR | O_CREAT | O_EXCL)
            // Unlinked at once: whatever happens, nothing is left behind.
            try Directories.removeFile(path)
        } catch {
            throw ChunkStoreError(error)
        }
        return try body(file)
    }

    /// Reads a block map and adds every chunk of it that the store lacks to a session.
    /// - Parameter packs: packs that together hold those chunks.
    /// - Throws: `missingChunk` when they do not.
    public static func `import`(
        _ name: ObjectName, packs: [ObjectName], from backend: any Backend, into session: IngestSession,
        of store: ChunkStore
    ) throws(ChunkStoreError) -> BlockMap {
        let source = try backend.source(name)
        if source.sizeBytes > maximumMapBytes {
            throw .badObject(
                name: "\(name)", reason: "\(source.sizeBytes) bytes are too many for a block map")
        }
        let bytes = try source.read(at: 0, count: Int(source.sizeBytes))
        if Digest(hashing: bytes) != name.digest {
            throw .badObject(name: "\(name)", reason: "its bytes are damaged")
        }
        let map: BlockMap
        do throws(BlockMapError) {
            map = try BlockMap(decoding: bytes)
        } catch {
            throw .badObject(name: "\(name)", reason: "\(error)")
        }
        var wanted = Set(map.chunks)
        for pack in packs {
            let reader = try PackReader(try backend.source(pack), name: pack.description)
            for entry in reader.directory.entries where wanted.remove(entry.chunk) != nil {
                try add(try reader.read(entry), to: session)
            }
        }
        for chunk in wanted { try add(try store.read(chunk), to: session) }
        return map
    }

    private static func add(_ bytes: [UInt8], to session: IngestSession) throws(ChunkStoreError) {
        var failure: ChunkStoreError?
        bytes.withUnsafeBytes { buffer in
            do throws(ChunkStoreError) { _ = try session.add(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
