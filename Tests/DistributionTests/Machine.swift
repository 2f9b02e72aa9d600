// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import HTTP
import OCI
import TestSupport
import Testing
import Volumes

@testable import Distribution

/// A directory that goes with the test.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-distribution-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit { try? Directories.removeTree(path) }
}

/// All that one machine has: a state directory of its own and the clients that reach others.
final class Machine: Sendable {
    let store: VolumeStore
    let clients: DistributionClients
    private let engine: FetchEngine
    private let directory: TestDirectory

    init(credentials: S3Credentials? = nil) throws {
        directory = try TestDirectory()
        store = try VolumeStore(root: directory.path + "/state")
        let loop = try TransferLoop()
        var settings = RegistrySettings()
        settings.credentialFiles = []
        settings.attempts = 2
        settings.firstDelaySeconds = 0.01
        let registry = RegistryClient(loop: loop, settings: settings)
        let sources = SourceFactory(
            loop: loop, registry: registry, settings: SourceSettings(s3Credentials: credentials))
        let uris = store.chunks.sources
        engine = try FetchEngine(store: store.chunks) { sources.source(uri: uris.uri(of: $0)) }
        clients = DistributionClients(
            store: store, loop: loop, registry: registry, sources: sources, engine: engine)
    }

    deinit {
        engine.shutDown()
        clients.loop.stop()
        store.close()
    }

    @discardableResult
    func push(
        _ image: String, _ reference: String, _ options: PushOptions = PushOptions(),
        isCancelled: @escaping CancellationCheck = { false }, progress: @escaping ProgressHandler = { _ in }
    ) throws -> PushReport {
        try Pusher.push(
            image: image, to: try RemoteReference(parsing: reference), options: options, clients: clients,
            progress: progress, isCancelled: isCancelled)
    }

    @discardableResult
    func pull(
        _ reference: String, as name: String? = nil,
        _ options: PullOptions = PullOptions(policy: .everyone, streamsBootPack: false)
    ) throws -> PullReport {
        try Puller.pull(
            try RemoteReference(parsing: reference), as: name, options: options, clients: clients)
    }

    /// Adds an image of chunks of 16 blocks that nothing else has; returns its content.
    @discardableResult
    func addNoise(_ name: String, chunks: Int, _ random: inout SplitMix) throws -> [UInt8] {
        let content = random.shrinkingBytes(chunks * Block.maximumChunkBytes)
        try add(name, content)
        return content
    }

    /// Adds an image with this content, in chunks of 16 blocks.
    @discardableResult
    func add(_ name: String, _ content: [UInt8]) throws -> ImageRecord {
        let session = store.chunks.beginIngest()
        let blocks = content.count / Block.bytes
        var builder = BlockMapBuilder(blockCount: UInt32(blocks))
        for block in stride(from: 0, to: blocks, by: Block.maximumPerChunk) {
            let end = min(blocks, block + Block.maximumPerChunk)
            let chunk = try content[block * Block.bytes..<end * Block.bytes].withUnsafeBytes {
                try session.add($0)
            }
            if let chunk { builder.add(start: UInt32(block), chunk: chunk, count: chunk.blockCount) }
        }
        return try store.addImage(
            name: name, map: builder.finish(), configuration: Self.configuration, source: "test",
            session: session)
    }

    static let configuration = Array(
        #"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.utf8)

    /// An image that differs in some bytes: cloned, written to, and kept.
    @discardableResult
    func change(
        _ image: String, into name: String, writing bytes: [UInt8], at offset: UInt64
    ) throws -> ImageRecord {
        let volume = try store.clone(image: image, as: name + "-volume")
        let written = try volume.write(at: offset, count: bytes.count) {
            (descriptor, position) throws(SystemError) in
            let count = retrying { pwrite(descriptor, bytes, bytes.count, off_t(position)) }
            if count < 0 { throw SystemError.last("pwrite", "test") }
            return count
        }
        #expect(written == bytes.count)
        return try store.snapshot(volume: name + "-volume", as: name)
    }

    /// Every byte of an image; what is absent is fetched.
    func content(_ image: String) throws -> [UInt8] {
        let resident = try store.residentMap(ofImage: image)
        let absent = resident.absentHandles(in: BlockRange(start: 0, count: resident.blockCount))
        if !absent.isEmpty { try engine.wantAndWait(absent, class: .demand, timeoutMs: 60_000) }
        let map = resident.map
        var content = [UInt8](repeating: 0, count: Int(map.sizeBytes))
        for extent in map.extents {
            let plain = try store.chunks.read(map.chunks[Int(extent.chunk)])
            let start = Int(extent.start) * Block.bytes
            let from = Int(extent.offset) * Block.bytes
            let count = Int(extent.count) * Block.bytes
            content.replaceSubrange(start..<start + count, with: plain[from..<from + count])
        }
        return content
    }

    func presentBytes(_ image: String) throws -> UInt64 {
        try store.residentMap(ofImage: image).presentBytes
    }

    func waitForBoot(_ image: String, bytes: UInt64) throws {
        let deadline = MonotonicTime.now.advanced(bySeconds: 20)
        while try presentBytes(image) < bytes, MonotonicTime.now < deadline { usleep(2_000) }
    }
}

extension SplitMix {
    /// Bytes of which half of each block repeats, so that they shrink by about half.
    mutating func shrinkingBytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var word: UInt64 = 0
            for index in 0..<count {
                if index % 16 == 0 { word = next() }
                buffer[index] = UInt8(truncatingIfNeeded: word >> UInt64(index % 8 * 8))
            }
            filled = count
        }
    }
}

/// Two byte strings differ; prints the first place that does instead of all bytes.
func expectEqual(_ found: [UInt8], _ wanted: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    if found == wanted { return }
    let index = zip(found, wanted).enumerated().first { $1.0 != $1.1 }?.offset
    let text = "\(found.count) bytes against \(wanted.count), first difference at \(index ?? -1)"
    Issue.record(Comment(rawValue: text), sourceLocation: sourceLocation)
}

/// The error of a call that must fail.
func failure(_ body: () throws -> Void) throws -> DistributionError {
    do {
        try body()
    } catch let error as DistributionError {
        return error
    }
    return try #require(nil as DistributionError?, "the call did not fail")
}
