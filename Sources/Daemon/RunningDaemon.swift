// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import CLinux
import ChunkStore
import Glibc
import Logging
import Volumes

/// Everything that a serving daemon holds, brought up in order and taken down in the reverse one.
final class RunningDaemon: Sendable {
    /// Another daemon holds the run directory.
    struct Busy: Error {}

    private let lock: File
    private let driver: Driver
    private let network: Network
    private let fileSystem: BlockFileSystem
    private let server: ControlServer
    private let isEnding = Monitor(false)
    private let log = Log.logger("daemon")

    /// Seconds that one part of an orderly end may take before the daemon goes on without it.
    private static let endSeconds = 10.0
    /// Seconds between looks for things to tidy up.
    private static let tidySeconds = 2.0
    /// Seconds between looks whether containers wait, so that fills stand back or go on.
    private static let fillSeconds = 0.5

    /// Serves when it returns.
    init(_ configuration: Configuration) throws {
        let places = configuration.places
        try Directories.create(places.run)
        lock = try File(open: places.lock, O_RDWR | O_CREAT)
        // The kernel lets go of the lock with the process, so what else lies here is a dead daemon's.
        guard try lock.tryLock() else { throw Busy() }
        for note in try Child.run(.clean(run: places.run)).notes ?? [] {
            log.warning("left by a former daemon", metadata: ["what": "\(note)"])
        }
        for directory in [places.fileSystem, places.images, places.containers, places.runtime] {
            try Directories.create(directory)
        }
        let store = try VolumeStore(root: places.root)
        store.chunks.setCacheLimits(
            configuration.cacheLimits(capacityBytes: ChunkStore.capacityBytes(of: places.root)))
        network = try Network(configuration, store: store)
        driver = Driver(configuration: configuration, store: store, network: network)
        fileSystem = try BlockFileSystem(
            mountPoint: places.fileSystem, store: store, engine: network.engine)
        driver.removeMoments()
        server = try ControlServer(path: places.socket, router: Router(driver: driver))
        try fileSystem.start()
        do { try serve() } catch {
            try? fileSystem.stop(force: true)
            throw error
        }
        log.info(
            "serving", metadata: ["root": "\(places.root)", "run": "\(places.run)", "pid": "\(getpid())"])
    }

    private func serve() throws {
        let server = server
        try Self.wait { try await server.start() }
        let (driver, isEnding) = (driver, isEnding)
        _ = try NamedThread("tidy", detached: true) {
            while isEnding.wait(until: .now.advanced(bySeconds: Self.tidySeconds), { $0 ? true : nil }) == nil
            {
                driver.tidy()
            }
        }
        _ = try NamedThread("program-pages", detached: true) { ProgramPages.lock() }
        _ = try NamedThread("fill", detached: true) {
            while isEnding.wait(until: .now.advanced(bySeconds: Self.fillSeconds), { $0 ? true : nil }) == nil
            {
                driver.fills.tick()
            }
        }
    }

    /// Takes no more calls, unmounts, flushes, and takes the file system away.
    ///
    /// Never waits for ever: what is busy is flushed and taken out of sight, and ends with its users.
    func end() {
        isEnding.withLock { $0 = true }
        let (server, driver, fileSystem, network) = (server, driver, fileSystem, network)
        try? Self.wait { await server.stop() }
        driver.operations.cancelAll(seconds: Self.endSeconds)
        // What a flush needs may still be fetched; but no source holds the end up for longer.
        let isUnmounted = Monitor(false)
        _ = try? NamedThread("end-fetch", detached: true) {
            let limit = MonotonicTime.now.advanced(bySeconds: Self.endSeconds)
            _ = isUnmounted.wait(until: limit) { $0 ? true : nil }
            network.stop()
        }
        driver.containers.ended.finish(seconds: Self.endSeconds)
        for failure in driver.mounts.detachAll() {
            log.warning("cannot unmount", metadata: ["reason": "\(failure)"])
        }
        let isDone = Monitor(false)
        _ = try? NamedThread("end", stackBytes: 2 << 20, detached: true) {
            try? fileSystem.stop(force: true)
            isUnmounted.withLock { $0 = true }
            network.stop()
            driver.store.close()
            isDone.withLock { $0 = true }
        }
        let done: Bool? = isDone.wait(until: .now.advanced(bySeconds: Self.endSeconds)) { $0 ? true : nil }
        if done == nil { log.warning("volumes are still in use; their users get errors from now on") }
        log.info("ended")
    }

    /// Waits on this plain thread for work of the cooperative pool.
    private static func wait(_ body: @escaping @Sendable () async throws -> Void) throws {
        let result = Monitor<Result<Void, any Error>?>(nil)
        Task.detached {
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            result.withLock { $0 = outcome }
        }
        try result.wait { $0 }.get()
    }
}
