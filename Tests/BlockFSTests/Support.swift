// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Blocks
import CLinux
import ChunkStore
import Glibc
import Testing
import Volumes

/// A store with its file system mounted, in a temporary directory; everything goes with the object.
///
/// A watchdog fails every request when the time is up, so that a file system that does not answer cannot hang
/// the test that waits for it.
final class MountedStore {
    let directory: String
    let store: VolumeStore
    let fileSystem: BlockFileSystem
    let engine: FetchEngine?
    private let isDone = Monitor(false)
    private let watchdog: NamedThread
    private let keepsDirectory: Bool

    /// - Parameters:
    ///   - directory: a state directory from before; it stays when the object goes.
    ///   - source: what absent chunks are fetched from.
    ///   - wantSeconds: the engine's patience.
    init(
        seconds: Double = 100, directory: String? = nil, source: ScriptedSource? = nil,
        wantSeconds: Double = 60
    ) throws {
        keepsDirectory = directory != nil
        let directory = try directory ?? Self.makeDirectory()
        self.directory = directory
        try Directories.create(directory + "/mnt")
        store = try VolumeStore(root: directory + "/root")
        var limits = FetchLimits()
        limits.wantSeconds = wantSeconds
        let chunks = store.chunks
        let engine = try source.map { source in
            try FetchEngine(store: chunks, limits: limits) { _ in source }
        }
        self.engine = engine
        let fileSystem = try BlockFileSystem(mountPoint: directory + "/mnt", store: store, engine: engine)
        self.fileSystem = fileSystem
        let isDone = isDone
        watchdog = try NamedThread("watchdog") {
            let limit = MonotonicTime.now.advanced(bySeconds: seconds)
            let inTime: Bool? = isDone.wait(until: limit) { $0 ? true : nil }
            if inTime == nil { try? fileSystem.stop(force: true) }
        }
        try fileSystem.start()
    }

    deinit {
        isDone.withLock { $0 = true }
        watchdog.join()
        try? fileSystem.stop(force: true)
        engine?.shutDown()
        store.close()
        if !keepsDirectory { try? Directories.removeTree(directory) }
    }

    static func makeDirectory() throws -> String {
        var template = Array("/var/tmp/slacker-blockfs-XXXXXX".utf8CString)
        return String(cString: try #require(mkdtemp(&template)))
    }

    func snapshotPath(_ name: String) -> String { "\(directory)/mnt/snapshots/\(name)" }
    func volumePath(_ name: String) -> String { "\(directory)/mnt/volumes/\(name)" }

    /// Adds an image with this content, whole blocks, cut into chunks of 16 blocks; chunks of zeros become holes.
    func addImage(_ name: String, _ content: [UInt8], blockCount: UInt32? = nil) throws {
        let session = store.chunks.beginIngest()
        var builder = BlockMapBuilder(blockCount: blockCount ?? UInt32(content.count / Block.bytes))
        for start in stride(from: 0, to: content.count, by: Block.maximumChunkBytes) {
            let piece = Array(content[start..<min(start + Block.maximumChunkBytes, content.count)])
            guard let chunk = try piece.withUnsafeBytes({ try session.add($0) }) else { continue }
            builder.add(start: UInt32(start / Block.bytes), chunk: chunk, count: chunk.blockCount)
        }
        _ = try store.addImage(
            name: name, map: builder.finish(), configuration: Array("{}".utf8), source: "test",
            session: session)
    }

    func file(volume: String) throws -> File { try File(open: volumePath(volume), O_RDWR) }

    func content(_ path: String) throws -> [UInt8] {
        let file = try File(open: path, O_RDONLY)
        return try file.read(count: Int(try file.size()), at: 0)
    }

    /// Runs a command, at most so many seconds, and expects it to succeed.
    @discardableResult
    func run(_ arguments: [String], seconds: Int = 60) throws -> String {
        let result = try Subprocess.run(["timeout", "-s", "KILL", "\(seconds)"] + arguments)
        #expect(result.succeeded, "\(arguments): \(result.status) \(result.output) \(result.errors)")
        return result.output
    }
}

/// The error number that a body fails with; nil when it does not fail.
func errorNumber(_ body: () throws -> Void) -> Int32? {
    do { try body() } catch { return (error as? SystemError)?.code ?? -1 }
    return nil
}

/// Two byte strings differ; prints the first difference instead of all bytes.
func expectEqual(
    _ found: [UInt8], _ wanted: [UInt8], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    if found == wanted { return }
    let index = zip(found, wanted).enumerated().first { $1.0 != $1.1 }?.offset
    Issue.record(
        "\(what): \(found.count) bytes against \(wanted.count), first difference at \(index ?? -1)",
        sourceLocation: sourceLocation)
}
