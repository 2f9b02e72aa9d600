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
    private let keeper: KeeperLink
    private let driver: Driver
    private let network: Network
    private let fileSystem: BlockFileSystem
    private let server: ControlServer
    private let metrics: MetricsServer?
    private let services: [any DaemonService]
    private let isEnding = Monitor(false)
    private let pages = ProgramPages()
    private let log = Log.logger("daemon")

    /// Seconds that one part of an orderly end may take before the daemon goes on without it.
    private static let endSeconds = 10.0
    /// Seconds for operations to notice that they are cancelled, when another daemon waits.
    private static let leaveSeconds = 2.0
    /// Seconds between looks for things to tidy up.
    private static let tidySeconds = 2.0
    /// Seconds between looks whether containers wait, so that fills stand back or go on.
    private static let fillSeconds = 0.5

    /// Serves when it returns.
    init(_ start: DaemonStart) throws {
        let configuration = start.configuration
        services = start.services
        let places = configuration.places
        try Directories.create(places.run)
        lock = try File(open: places.lock, O_RDWR | O_CREAT)
        // The kernel lets go of the lock with the process, so what else lies here is a dead daemon's.
        guard try Self.lock(lock, start) else { throw Busy() }
        keeper = KeeperLink(places: places)
        let connection = Succession.takeConnection(places, keeper)
        let isTakingOver = connection != nil
        let life = isTakingOver ? InheritedLife.read(LifeRecords(places)) : InheritedLife()
        if !isTakingOver {
            Self.note(try Child.run(.clean(run: places.run)).notes)
        }
        for directory in [places.images, places.containers, places.runtime] {
            try Directories.create(directory)
        }
        // Of a mount that waits for this daemon nothing may be asked, not even whether it is there.
        if !isTakingOver { try Directories.create(places.fileSystem) }
        let store = try Self.openStore(places, life)
        store.chunks.setCacheLimits(
            configuration.cacheLimits(capacityBytes: ChunkStore.capacityBytes(of: places.root)))
        network = try Network(configuration, store: store)
        let options = BlockFileSystem.Options(
            epoch: try Succession.nextEpoch(places, isFirst: !isTakingOver),
            pendingDirectory: Succession.isPossible ? places.pending : nil)
        fileSystem = try BlockFileSystem(
            mountPoint: places.fileSystem, store: store, engine: network.engine, options: options)
        driver = Driver(
            configuration: configuration, store: store, network: network, blocks: fileSystem,
            starts: Starts(run: places.run))
        driver.removeMoments()
        let listen = configuration[Settings.metricsListen]
        metrics =
            listen.isEmpty ? nil : try MetricsServer(address: listen) { [driver] in driver.metrics() }
        server = try ControlServer(path: places.socket, router: Router(driver: driver))
        if let connection { try fileSystem.takeOver(connection) } else { try fileSystem.start() }
        do {
            if isTakingOver { try adopt(life) }
            try beKept(start)
            try serve()
        } catch {
            for service in services { service.stop() }
            // The next one may have more luck with what is mounted.
            if !isTakingOver {
                try? fileSystem.stop(force: true)
                // A start that fails is not a death: nobody is to start this daemon again.
                keeper.bye()
            }
            throw error
        }
        log.info(
            isTakingOver ? "serving what an earlier daemon has mounted" : "serving",
            metadata: ["root": "\(places.root)", "run": "\(places.run)", "pid": "\(getpid())"])
        ServiceManager.tellReady()
    }

    /// Takes the lock; one who comes in the place of a daemon asks that one for it.
    private static func lock(_ lock: File, _ start: DaemonStart) throws -> Bool {
        if try lock.tryLock() { return true }
        guard start.replaces else { return false }
        let client = ControlClient(start.configuration.places, expectedRoot: nil, startDaemon: nil)
        _ = try client.call("POST", "successions", as: Done.self)
        let limit = MonotonicTime.now.advanced(bySeconds: endSeconds * 3)
        while try !lock.tryLock() {
            if MonotonicTime.now > limit { return false }
            usleep(2000)
        }
        return true
    }

    /// A process that has just died may let go of one lock a moment before the other.
    private static func openStore(_ places: Places, _ life: InheritedLife) throws -> VolumeStore {
        let limit = MonotonicTime.now.advanced(bySeconds: 2)
        while true {
            do throws(VolumeError) {
                return try VolumeStore(root: places.root, inheritance: life.inheritance)
            } catch {
                guard case .rootLocked = error, MonotonicTime.now < limit else { throw error }
                usleep(5000)
            }
        }
    }

    private static func note(_ notes: [String]?) {
        for note in notes ?? [] { Log.warning("daemon", "left by a former daemon", ["what": note]) }
    }

    /// Goes on with what a daemon that died has left; its mounts are served already.
    private func adopt(_ life: InheritedLife) throws {
        driver.mounts.adopt(life)
        driver.containers.adopt(life)
        Self.note(
            try Child.run(.cleanStrays(run: driver.places.run, known: driver.mounts.known(life))).notes)
    }

    /// Has a keeper hold the connection, and systemd where that has started this daemon.
    ///
    /// Without one the daemon serves all the same.
    private func beKept(_ start: DaemonStart) throws {
        let configuration = start.configuration
        if !Succession.isPossible {
            log.warning("this kernel is older than 6.9: containers do not survive the daemon's death")
        }
        let plan = KeeperPlan(
            command: start.command, fileSystem: driver.places.fileSystem, log: driver.places.log,
            restarts: !ServiceManager.isPresent, hangSeconds: configuration[Settings.hangSeconds],
            holdSeconds: configuration[Settings.holdSeconds])
        let fileSystem = fileSystem
        do throws(Failure) {
            try keeper.begin(plan) { Succession.isPossible ? fileSystem.connection() : nil }
        } catch {
            log.error("containers would not survive this daemon's death", metadata: ["reason": "\(error)"])
        }
        if ServiceManager.isPresent, Succession.isPossible, let connection = fileSystem.connection() {
            ServiceManager.store(connection)
        }
    }

    private func serve() throws {
        let (server, metrics) = (server, metrics)
        try waitForTask {
            try await server.start()
            try await metrics?.start()
        }
        for service in services { try service.start(ServiceHost(driver: driver)) }
        let (driver, isEnding, pages) = (driver, isEnding, pages)
        _ = try NamedThread("tidy", detached: true) {
            while isEnding.wait(until: .now.advanced(bySeconds: Self.tidySeconds), { $0 ? true : nil }) == nil
            {
                driver.tidy()
            }
        }
        _ = try NamedThread("program-pages", detached: true) {
            Rehearsal.run()
            pages.lock()
        }
        _ = try NamedThread("scrub", detached: true) { driver.scrubber.run() }
        _ = try NamedThread("fill", detached: true) {
            while isEnding.wait(until: .now.advanced(bySeconds: Self.fillSeconds), { $0 ? true : nil }) == nil
            {
                driver.fills.tick()
            }
        }
    }

    /// Takes no more calls and leaves everything that is mounted to the next daemon; the process is to exit then.
    ///
    /// Ends in the orderly way where nobody keeps anything for a next one.
    func leave() {
        isEnding.withLock { $0 = true }
        driver.scrubber.stop()
        let server = server
        try? waitForTask { await server.stop() }
        for service in services { service.stop() }
        driver.operations.cancelAll(seconds: Self.leaveSeconds)
        ServiceManager.tellStopping()
        guard keeper.leave(), Succession.isPossible else { return end() }
        log.info("leaving what is mounted to another daemon")
    }

    /// Takes no more calls, unmounts, flushes, and takes the file system away.
    ///
    /// Never waits for ever: what is busy is flushed and taken out of sight, and ends with its users.
    func end() {
        isEnding.withLock { $0 = true }
        driver.scrubber.stop()
        ServiceManager.tellStopping()
        let (server, driver, fileSystem, network) = (server, driver, fileSystem, network)
        driver.events.end()
        let metrics = metrics
        try? waitForTask {
            await metrics?.stop()
            await server.stop()
        }
        for service in services { service.stop() }
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
        keeper.bye()
        if done == nil { log.warning("volumes are still in use; their users get errors from now on") }
        driver.starts.end()
        log.info("ended")
    }
}
