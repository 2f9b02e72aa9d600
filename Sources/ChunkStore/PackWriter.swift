// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks

/// Writes a pack to a file, front to back, and computes its digest on the way.
///
/// Used by one thread at a time. Nothing is made durable: that is the business of who publishes the file.
public final class PackWriter {
    /// A finished pack.
    public struct Summary: Sendable, Equatable {
        /// SHA-256 of the whole object: its name.
        public let digest: Digest
        public let sizeBytes: UInt64
        public let directory: PackDirectory
    }

    private static let bufferBytes = 1 << 20

    private let file: File
    private let compressor: ZstdCompressor
    private var hasher = DigestHasher()
    private var buffer: [UInt8] = []
    private var written: UInt64 = 0
    private var entries: [PackDirectory.Entry] = []
    private var chunks: Set<Digest> = []

    /// Begins a pack at the start of an empty file.
    public init(_ file: File, level: Int32 = Pack.defaultLevel) throws(ChunkStoreError) {
        guard let compressor = ZstdCompressor(level: level) else {
            throw .system(SystemError(12 /* ENOMEM */, "ZSTD_createCCtx", file.path))
        }
        self.file = file
        self.compressor = compressor
        buffer.reserveCapacity(Self.bufferBytes + Block.maximumChunkBytes)
        buffer += Pack.header
    }

    /// Bytes so far, without the directory.
    public var sizeBytes: UInt64 { written + UInt64(buffer.count) }
    public var chunkCount: Int { entries.count }

    /// Adds a chunk; one that the pack has already is left out.
    /// - Precondition: the bytes are those that the descriptor names, and the pack is not full.
    public func add(_ chunk: ChunkDescriptor, _ plain: [UInt8]) throws(ChunkStoreError) {
        precondition(plain.count == Int(chunk.blockCount) * Block.bytes, "a chunk is whole")
        precondition(entries.count < Pack.maximumChunks, "a pack holds no more chunks")
        if !chunks.insert(chunk.digest).inserted { return }
        let frame = compressor.compress(plain)
        let stored = frame ?? plain
        entries.append(
            PackDirectory.Entry(
                chunk: chunk, coding: frame == nil ? .plain : .zstd, offset: sizeBytes,
                byteCount: stored.count))
        buffer += stored
        if buffer.count >= Self.bufferBytes { try flush() }
    }

    /// Writes the directory and the footer.
    public func finish() throws(ChunkStoreError) -> Summary {
        let directory = PackDirectory(entries: entries)
        let bytes = directory.encode()
        var footer = ByteWriter(capacity: Pack.footerBytes)
        footer.put(sizeBytes)
        footer.put(UInt64(bytes.count))
        footer.put(Digest(hashing: bytes).bytes)
        footer.put(Pack.version)
        footer.put(UInt16(0))
        footer.put(CRC32C.checksum(footer.bytes))
        footer.put(Pack.endMagic)
        buffer += bytes
        buffer += footer.bytes
        try flush()
        return Summary(digest: hasher.digest(), sizeBytes: written, directory: directory)
    }

    private func flush() throws(ChunkStoreError) {
        hasher.update(buffer)
        do throws(SystemError) {
            try file.write(buffer, at: written)
        } catch {
            throw ChunkStoreError(error)
        }
        written += UInt64(buffer.count)
        buffer.removeAll(keepingCapacity: true)
    }
}
