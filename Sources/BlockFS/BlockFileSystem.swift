// SPDX-License-Identifier: Apache-2.0

public import Base
import CFuse3
import CLinux
public import ChunkStore
import Glibc
import Synchronization
public import Volumes

/// Why the file system could not be started or stopped.
public enum BlockFSError: Error, Sendable, CustomStringConvertible {
    case system(SystemError)
    /// There is no /dev/fuse, or it may not be used.
    case noFUSE(reason: String)
    /// libfuse refused to make a session or to mount it; it has said why on standard error.
    case mountFailed(directory: String)
    /// Files are in use, most likely by loop devices.
    case busy(directory: String)
    /// The connection of a process that died cannot be taken over.
    case cannotTakeOver(directory: String, reason: String)

    public var description: String {
        switch self {
        case .system(let error): error.description
        case .noFUSE(let reason):
            "/dev/fuse: \(reason): load the kernel module (modprobe fuse) and run as root"
        case .mountFailed(let directory): "\(directory): fuse file system could not be mounted there"
        case .busy(let directory): "\(directory): files are in use: unmount what is mounted from them first"
        case .cannotTakeOver(let directory, let reason):
            "\(directory): the connection of an earlier daemon cannot be taken over: \(reason)"
        }
    }
}

/// The FUSE file system in which every image is a read-only file in `snapshots/` and every volume a writable
/// one in `volumes/`.
public final class BlockFileSystem: Sendable {
    public struct Options: Sendable {
        /// Threads that answer requests.
        public var threads: UInt32
        /// Differs from that of every process that served the same mount before; not 0.
        public var epoch: UInt16
        /// Where files that nothing was written to yet are kept for a process that takes over; nil for nowhere.
        public var pendingDirectory: String?

        public init(
            threads: UInt32 = BlockFileSystem.defaultThreads, epoch: UInt16 = 1,
            pendingDirectory: String? = nil
        ) {
            self.threads = threads
            self.epoch = epoch
            self.pendingDirectory = pendingDirectory
        }
    }

    /// Where it is mounted.
    public let mountPoint: String
    private let server: Server
    private let options: Options
    private let running = Lock<Running?>(nil)

    private struct Running: @unchecked Sendable {
        // Unchecked because: libfuse's session may be used from any thread.
        let session: OpaquePointer
        let thread: NamedThread
    }

    /// - Parameters:
    ///   - mountPoint: an existing empty directory, absolute.
    ///   - engine: fetches what is absent; without one it cannot be read. It has to live until `stop`.
    public init(
        mountPoint: String, store: VolumeStore, engine: FetchEngine? = nil, options: Options = Options()
    ) throws(BlockFSError) {
        self.mountPoint = mountPoint
        self.options = options
        do throws(SystemError) {
            server = try Server(
                store, engine, epoch: options.epoch, pendingDirectory: options.pendingDirectory)
        } catch {
            throw .system(error)
        }
    }

    /// Requests that wait for blocks to be fetched.
    public var waitingRequests: Int { server.parked.count }

    /// What has been answered since the start.
    public var activity: BlockActivity { server.memory.book.activity }

    /// The files that the kernel knows, by name, as far as something was read or written there, or waits.
    public func files() -> [FileActivity] {
        let waiting = server.parked.waiting()
        return server.nodes.all().compactMap { node in
            let (count, seconds) = waiting[node.name] ?? (0, 0)
            let read = node.readBytes.load(ordering: .relaxed)
            let written = node.writtenBytes.load(ordering: .relaxed)
            if read == 0, written == 0, count == 0 { return nil }
            let isVolume: Bool
            switch node.content {
            case .snapshot: isVolume = false
            case .volume, .pending: isVolume = true
            // The kernel remembers files for longer than there is something in them.
            case .gone: return nil
            }
            return FileActivity(
                name: node.name, isVolume: isVolume, readBytes: read, writtenBytes: written,
                waitingReads: count, waitingSeconds: seconds)
        }.sorted { $0.name < $1.name }
    }

    /// Takes down the reads of an image or a volume until `endWatch`.
    public func beginWatch(_ name: String) -> ReadWatch { server.watches.begin(name) }

    public func endWatch(_ watch: ReadWatch) { server.watches.end(watch) }

    /// Threads that wait in the kernel cost nothing; more than twice the processors only helps requests that
    /// sleep.
    public static var defaultThreads: UInt32 {
        UInt32(clamping: max(4, min(32, 2 * sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }

    /// Mounts and begins to answer; returns as soon as the mount is there.
    public func start() throws(BlockFSError) {
        if access("/dev/fuse", R_OK | W_OK) < 0 {
            throw .noFUSE(reason: SystemError.last("access", "/dev/fuse").reason)
        }
        try serve(try makeSession(), attach: mountPoint)
    }

    /// Begins to answer on the connection of a process that has died; what it had read and not answered comes
    /// again.
    ///
    /// - Parameter descriptor: of the connection's /dev/fuse; the caller gives it away.
    public func takeOver(_ descriptor: consuming OwnedFD) throws(BlockFSError) {
        let session = try makeSession()
        // libfuse closes it with the session, and at no other time.
        let raw = descriptor.release()
        try serve(session, attach: "/dev/fd/\(raw)")
        if slk_fuse_resend(raw) < 0 {
            let reason = SystemError.last("FUSE_NOTIFY_RESEND", "/dev/fuse").reason
            throw .cannotTakeOver(directory: mountPoint, reason: reason)
        }
    }

    /// A descriptor of the connection, for whoever keeps it; nil when it is not running.
    public func connection() -> OwnedFD? {
        let raw = running.withLock { running in
            running.map { slk_fcntl_int(fuse_session_fd($0.session), F_DUPFD_CLOEXEC, 0) } ?? -1
        }
        return raw < 0 ? nil : OwnedFD(taking: raw)
    }

    /// - Parameter place: where to mount, or `/dev/fd/N` of a connection that there is already.
    private func serve(_ session: OpaquePointer, attach place: String) throws(BlockFSError) {
        if fuse_session_mount(session, place) != 0 {
            fuse_session_destroy(session)
            Unmanaged.passUnretained(server).release()
            throw .mountFailed(directory: mountPoint)
        }
        if place != mountPoint { slk_fuse_feed_init(session, Server.maximumReadBytes) }
        // Unchecked because: the pointer is handed to one thread, which is joined before the session goes.
        nonisolated(unsafe) let loopSession = session
        let threads = options.threads
        do throws(SystemError) {
            try server.parked.start(server)
            let thread = try NamedThread("fuse-loop") { Self.loop(loopSession, threads) }
            running.withLock { $0 = Running(session: session, thread: thread) }
        } catch {
            fuse_session_unmount(session)
            server.parked.stop()
            fuse_session_destroy(session)
            Unmanaged.passUnretained(server).release()
            throw .system(error)
        }
    }

    /// Unmounts and returns when the last request is answered; those that wait for blocks get EIO.
    ///
    /// Does nothing the second time.
    /// - Parameter force: when files are in use, users get errors from now on instead of an error here.
    public func stop(force: Bool = false) throws(BlockFSError) {
        let stopped: Running? = try running.withLock { running throws(BlockFSError) in
            guard let stopped = running else { return nil }
            try unmount(force: force)
            running = nil
            return stopped
        }
        guard let stopped else { return }
        stopped.thread.join()
        server.parked.stop()
        fuse_session_unmount(stopped.session)
        fuse_session_destroy(stopped.session)
        Unmanaged.passUnretained(server).release()
    }

    /// Ends the connection, whereupon the threads' reads of it return ENODEV and they end.
    private func unmount(force: Bool) throws(BlockFSError) {
        // Pages that are being read ahead hold up an unmount that is past the point of being refused.
        server.parked.refuse(after: force ? 0 : Self.unmountSeconds)
        // Before the connection is cut, which would give readers another error.
        if force { server.parked.waitUntilAnswered(seconds: Self.answerSeconds) }
        // EINVAL: somebody else has unmounted it.
        if umount2(mountPoint, 0) == 0 || errno == EINVAL { return }
        let failure = SystemError.last("umount", mountPoint)
        if !force { server.parked.accept() }
        guard failure.code == EBUSY else { throw .system(failure) }
        guard force else { throw .busy(directory: mountPoint) }
        // MNT_FORCE fails every request under way and to come, but leaves the mount where it is.
        umount2(mountPoint, Int32(MNT_FORCE))
        if umount2(mountPoint, Int32(MNT_DETACH)) < 0, errno != EINVAL {
            throw .system(SystemError.last("umount", mountPoint))
        }
    }

    /// Seconds for the answers to what is parked; they wait for no network.
    private static let answerSeconds = 2.0
    /// Seconds after which an unmount that has not been refused will not be.
    private static let unmountSeconds = 0.25

    private func makeSession() throws(BlockFSError) -> OpaquePointer {
        let words = [
            "fsname=slacker", "subtype=slacker", "allow_other", "default_permissions",
            "max_read=\(Server.maximumReadBytes)",
        ].joined(separator: ",")
        guard let text = strdup(words) else { throw .mountFailed(directory: mountPoint) }
        defer { free(text) }
        var table = Operations.table()
        let userdata = Unmanaged.passRetained(server)
        guard let session = slk_fuse_session_new(text, &table, userdata.toOpaque()) else {
            userdata.release()
            throw .mountFailed(directory: mountPoint)
        }
        return session
    }

    private static func loop(_ session: OpaquePointer, _ threads: UInt32) {
        // Writeback goes through these threads; they must not wait for it themselves. Inherited by the
        // workers.
        _ = slk_set_io_flusher()
        guard let configuration = fuse_loop_cfg_create() else { return }
        // The threads share one descriptor. What a thread has read by one of its own the kernel fails when that is
        // closed, so a killed daemon's requests could not be sent to the next one.
        fuse_loop_cfg_set_clone_fd(configuration, 0)
        fuse_loop_cfg_set_max_threads(configuration, threads)
        fuse_loop_cfg_set_idle_threads(configuration, threads)
        fuse_session_loop_mt(session, configuration)
        fuse_loop_cfg_destroy(configuration)
    }
}
