// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Flatten
import Glibc

@testable import ChunkStore
@testable import Daemon
@testable import OCI
@testable import Volumes

/// Something that reads bytes from outside.
struct Parser: Sendable {
    /// Inputs to begin with.
    let seeds: @Sendable () -> [[UInt8]]
    let parse: @Sendable ([UInt8]) -> Void

    init(seeds: @escaping @Sendable () -> [[UInt8]], _ parse: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.seeds = seeds
        self.parse = { bytes in try? parse(bytes) }
    }
}

let parsers: [String: Parser] = [
    "blockmap": Parser(seeds: { [sampleMap.encode()] }) { bytes in
        let map = try BlockMap(decoding: withChecksum(bytes))
        // What is accepted is what would be written.
        precondition(map.encode() == withChecksum(bytes))
    },
    "pack": Parser(seeds: { [[UInt8](repeating: 0, count: Pack.entryBytes * 2)] }) { bytes in
        let directory = try PackDirectory(decoding: bytes, name: "pack")
        precondition(directory.encode() == bytes)
    },
    "places": Parser(seeds: { [] }) { bytes in
        _ = try PlaceTable(decoding: withChecksum(bytes), for: sampleMap)
        _ = try PlaceTable(decoding: bytes, for: sampleMap)
    },
    "profile": Parser(seeds: { [] }) { _ = try BootProfile(decoding: withChecksum($0)) },
    "deltalog": Parser(seeds: { [Array(0..<36)] }) { bytes in try deltaLog(bytes) },
    "manifest": Parser(seeds: {
        [Array(sampleManifest.utf8), Array(#"{"schemaVersion":2,"manifests":[]}"#.utf8)]
    }) {
        _ = try ManifestDocument(parsing: $0, mediaType: nil, name: "manifest")
    },
    "configuration": Parser(seeds: { [Array(sampleConfiguration.utf8)] }) {
        _ = try ImageConfiguration(parsing: $0, name: "configuration")
    },
    "challenge": Parser(
        seeds: { [Array(#"Bearer realm="https://a/t",service="b",scope="c:d:e", Basic realm=x"#.utf8)] }
    ) {
        _ = Challenge.parse([String(decoding: $0, as: UTF8.self)])
    },
    "reference": Parser(seeds: { [Array("registry.example:5000/a/b:tag@sha256:00".utf8)] }) {
        let text = String(decoding: $0, as: UTF8.self)
        _ = try? ImageSource.parse(text)
        _ = try Reference(parsing: text)
    },
    "credentials": Parser(seeds: { [Array(#"{"auths":{"a":{"auth":"dTpw"}},"credsStore":"x"}"#.utf8)] }) {
        _ = try CredentialFile(parsing: $0, path: "file")
    },
    "api": Parser(seeds: { [Array(#"{"image":"a","clientProcess":1,"command":["b"]}"#.utf8)] }) { bytes in
        _ = try? JSON.decode(ContainerRequest.self, bytes)
        _ = try? JSON.decode(MountRequest.self, bytes)
        _ = try? JSON.decode(PushRequest.self, bytes)
        _ = try? JSON.decode(KeeperRequest.self, bytes)
        _ = try? JSON.decode(InternalRequest.self, bytes)
    },
    "ext4": Parser(seeds: { [[UInt8](repeating: 0, count: 3 * Block.bytes)] }) { try walk($0) },
    "tar": Parser(seeds: { [sampleTar, sampleTar + sampleTar] }) { try layer($0, .none) },
    "gzip": Parser(seeds: { [[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]] }) {
        try layer($0, .gzip)
    },
    "zstd": Parser(seeds: { [[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0, 1, 0, 0, 0x99, 0xe9, 0xd8, 0x51]] }) {
        try layer($0, .zstd)
    },
]

// MARK: Formats

/// Formats that end in a checksum are given the right one, so that what lies behind it is reached.
func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 4 else { return bytes }
    let body = Array(bytes.dropLast(4))
    return body + withUnsafeBytes(of: CRC32C.checksum(body).littleEndian) { Array($0) }
}

private let sampleMap: BlockMap = {
    var builder = BlockMapBuilder(blockCount: 100)
    for number in 0..<5 as Range<UInt32> {
        let digest = Digest(hashing: [UInt8(number)])
        builder.add(start: number * 16, chunk: ChunkDescriptor(digest: digest, blockCount: 8), count: 8)
    }
    return builder.finish()
}()

/// A log whose records are as they should be in form: the input says what they tell.
private func deltaLog(_ bytes: [UInt8]) throws {
    _ = DeltaLogHeader.decode(bytes, delta: 7)
    guard let boot = BootID(bytes: [UInt8](repeating: 1, count: BootID.byteCount)) else { return }
    let header = DeltaLogHeader(delta: 7, blockCount: 1000, parentLimit: 1000, firstSequence: 1, bootID: boot)
    var log = header.encode()
    var sequence: UInt64 = 1
    for start in stride(from: 0, to: bytes.count - 8, by: 9) {
        guard let kind = DeltaLogRecord.Kind(rawValue: bytes[start] % 5) else { continue }
        let words = (0..<2).map { word in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[start + 1 + word * 4 + $1]) }
        }
        let record = DeltaLogRecord(kind: kind, start: words[0], count: words[1], sequence: sequence)
        log += record.encode(delta: 7)
        sequence += 1
    }
    for sameBoot in [true, false] {
        guard let replay = try? DeltaLogReplay(log + bytes, header: header, sameBoot: sameBoot) else {
            continue
        }
        precondition(replay.believed.count <= Int(sequence))
    }
}

// MARK: Layers and file systems

private struct Blocks4K: BlockReader {
    let bytes: [UInt8]

    /// The input is shown again and again, so that pointers lead somewhere.
    func read(block: UInt32) throws -> [UInt8] {
        let start = Int(block) * Block.bytes % max(Block.bytes, bytes.count / Block.bytes * Block.bytes)
        let part = bytes.dropFirst(start).prefix(Block.bytes)
        return Array(part) + [UInt8](repeating: 0, count: Block.bytes - part.count)
    }
}

private func walk(_ bytes: [UInt8]) throws {
    var image = bytes
    // A superblock that passes the first look: what a mutation cannot guess.
    if image.count >= 2048 {
        image.replaceSubrange(1024 + 0x38..<1024 + 0x3A, with: [0x53, 0xEF])
        image.replaceSubrange(1024 + 0x14..<1024 + 0x1C, with: [0, 0, 0, 0, 2, 0, 0, 0])
        image.replaceSubrange(1024 + 0x20..<1024 + 0x24, with: [0, 0x80, 0, 0])
    }
    let reader = try Ext4.Reader(Blocks4K(bytes: image))
    for number in 1...min(20, reader.information.inodeCount) {
        guard let inode = try? reader.inode(number) else { continue }
        _ = try? reader.runs(of: inode)
        _ = try? reader.entries(of: inode)
        _ = try? reader.target(of: inode)
        _ = try? reader.read(inode, at: 0, count: 4096)
    }
}

private final class MemoryStream: BlobStream {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
        let count = min(buffer.count, bytes.count - position)
        bytes.withUnsafeBytes { all in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[position..<position + count]))
        }
        position += count
        return count
    }
}

/// One store for all inputs: only what is committed stays in it, and nothing is.
nonisolated(unsafe) private var store: ChunkStore?

private func layer(_ bytes: [UInt8], _ compression: LayerCompression) throws {
    if store == nil {
        var template = Array("/dev/shm/slacker-fuzz-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { return }
        store = try ChunkStore(directory: String(cString: path) + "/chunks")
    }
    guard let store else { return }
    let source = LayerSource(
        name: "layer", compression: compression, digest: nil, diffID: nil, sizeBytes: UInt64(bytes.count),
        open: { () throws(OCIError) in MemoryStream(bytes) })
    let image = ResolvedImage(
        configuration: ImageConfiguration(platform: .host), configurationBytes: [], layers: [source])
    let session = store.beginIngest()
    defer { session.release() }
    let limits = ImportLimits(totalBytes: 16 << 20, entryCount: 1000, ratio: 500)
    _ = try Importer.run(
        image, into: session, options: FormatOptions(sizeBytes: 64 << 20, journalBytes: 4 << 20),
        limits: limits)
}

// MARK: Samples

private let sampleManifest = """
    {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":\
    "application/vnd.oci.image.config.v1+json","digest":"sha256:\(String(repeating: "0", count: 64))","size":2},\
    "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:\
    \(String(repeating: "1", count: 64))","size":9}],"annotations":{"a":"b"}}
    """

private let sampleConfiguration = """
    {"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Cmd":["c"],"User":"1:2","WorkingDir":"/"},\
    "rootfs":{"type":"layers","diff_ids":["sha256:\(String(repeating: "0", count: 64))"]}}
    """

/// One file with five bytes, and no end.
private let sampleTar: [UInt8] = {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int) {
        header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    put("dir/file", 0)
    put("0000644\0", 100)
    put("0000000\0", 108)
    put("0000000\0", 116)
    put("00000000005\0", 124)
    put("00000000000\0", 136)
    put("        ", 148)
    put("0", 156)
    put("ustar\u{0}00", 257)
    let octal = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - octal.count) + octal + "\0 ", 148)
    return header + Array("hello".utf8) + [UInt8](repeating: 0, count: 507)
}()
