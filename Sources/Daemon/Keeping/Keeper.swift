// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc
import Logging

/// A small process of this program that outlives daemons: it keeps the descriptor of the FUSE connection, so that a
/// daemon's death is no error to anybody who reads, and starts the next daemon.
///
/// One thread that only waits, and one that asks the mount whether it answers: it may hang there, as nothing is ever
/// read through this process.
public final class Keeper {
    /// The connected daemon.
    private struct Connection {
        let socket: OwnedFDBox
        let process: Int32
        /// When it said that it serves.
        var serves: MonotonicTime?
        /// It is on the way to serving.
        var isTakingOver = false
    }

    /// A daemon that the keeper has started and that has not come forward yet.
    private struct Start {
        let process: Int32
        let since = MonotonicTime.now
    }

    final class OwnedFDBox {
        private let descriptor: OwnedFD
        var raw: Int32 { descriptor.raw }
        init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
    }

    /// Milliseconds between two looks at what only time brings, while a daemon serves and while none does.
    private static let (calmMs, busyMs): (Int32, Int32) = (1000, 50)
    /// Seconds that a daemon which says it ends for another has to wait for that one.
    private static let leaveSeconds = 15.0
    /// Seconds that a started daemon may take to come forward; a check after a power cut takes the most.
    private static let startSeconds = 180.0
    /// Seconds that a daemon must serve before an earlier death no longer counts.
    private static let stableSeconds = 0.5

    private let run: String
    private let listener: OwnedFDBox
    private var connections: [Connection] = []
    private var kept: OwnedFDBox?
    private var plan: KeeperPlan?
    private var probe: MountProbe?
    private var start: Start?
    private var backoff = RestartBackoff()
    /// When to start a daemon; nil while one serves.
    private var startAt: MonotonicTime?
    /// When who waits gets an error; nil while a daemon serves.
    private var giveUpAt: MonotonicTime?
    private var mustEnd = false
    private let log = Log.logger("keeper")

    /// The whole life of a keeper: its first daemon is connected as descriptor 3.
    /// - Parameter arguments: the run directory.
    public static func main(_ arguments: [String]) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        umask(0o077)
        guard let run = arguments.first, chdir("/") == 0 else { return 2 }
        Log.bootstrap(level: .info)
        do {
            let keeper = try Keeper(run: run, first: OwnedFD(taking: 3))
            keeper.serve()
            return 0
        } catch {
            Log.error("keeper", "cannot keep anything: \(error)")
            return 1
        }
    }

    private init(run: String, first: consuming OwnedFD) throws(SystemError) {
        self.run = run
        listener = OwnedFDBox(try KeeperSocket.listen(run: run))
        add(first)
    }

    // MARK: Waiting

    private func serve() {
        while !mustEnd {
            var waiting = [pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)]
            waiting += connections.map { pollfd(fd: $0.socket.raw, events: Int16(POLLIN), revents: 0) }
            let limit = startAt == nil && giveUpAt == nil ? Self.calmMs : Self.busyMs
            _ = retrying { poll(&waiting, nfds_t(waiting.count), limit) }
            if waiting[0].revents != 0 { accept() }
            for entry in waiting.dropFirst() where entry.revents != 0 { receive(entry.fd) }
            lookAtTime()
        }
    }

    private func accept() {
        let raw = Glibc.accept(listener.raw, nil, nil)
        if raw < 0 { return }
        // No other thread starts processes.
        _ = slk_fcntl_int(raw, F_SETFD, Int(FD_CLOEXEC))
        add(OwnedFD(taking: raw))
    }

    private func add(_ socket: consuming OwnedFD) {
        guard let process = KeeperSocket.peer(of: socket.raw) else { return }
        connections.append(Connection(socket: OwnedFDBox(socket), process: process))
    }

    private func receive(_ socket: Int32) {
        guard let index = connections.firstIndex(where: { $0.socket.raw == socket }) else { return }
        guard let (request, descriptor) = KeeperSocket.receive(KeeperRequest.self, from: socket, seconds: 0)
        else { return lost(connections.remove(at: index)) }
        let received = descriptor >= 0 ? OwnedFDBox(OwnedFD(taking: descriptor)) : nil
        switch request {
        case .take:
            startAt = nil
            connections[index].isTakingOver = true
            _ = KeeperSocket.send(
                KeeperAnswer(gives: kept != nil), to: socket, descriptor: kept?.raw ?? -1)
        case .hold(let plan): hold(plan, received, index)
        case .leave:
            connections[index].serves = nil
            connections[index].isTakingOver = false
            expectAnother(seconds: Self.leaveSeconds)
            _ = KeeperSocket.send(KeeperAnswer(), to: socket)
        case .bye:
            kept = nil
            unlink(KeeperSocket.path(run: run))
            mustEnd = true
        case .retire: mustEnd = true
        }
    }

    private func hold(_ plan: KeeperPlan, _ received: OwnedFDBox?, _ index: Int) {
        if let received { kept = received }
        self.plan = plan
        start = nil
        startAt = nil
        giveUpAt = nil
        connections[index].serves = .now
        if probe == nil { probe = MountProbe(directory: plan.fileSystem) }
        let socket = connections[index].socket.raw
        _ = KeeperSocket.send(KeeperAnswer(), to: socket)
        log.info("keeping", metadata: ["daemon": "\(connections[index].process)"])
    }

    // MARK: The death of a daemon

    /// A connection has ended; where it was that of the daemon that serves, or was about to, that one is dead.
    private func lost(_ connection: Connection) {
        guard connection.serves != nil || connection.isTakingOver,
            !connections.contains(where: { $0.serves != nil || $0.isTakingOver })
        else { return }
        let life = connection.serves.map { MonotonicTime.now.seconds(since: $0) } ?? 0
        if life >= Self.stableSeconds { backoff = RestartBackoff() }
        log.warning("the daemon has died", metadata: ["process": "\(connection.process)"])
        expectAnother(seconds: backoff.next())
    }

    private func expectAnother(seconds: Double) {
        guard let plan else { return }
        if plan.restarts { startAt = .now.advanced(bySeconds: seconds) }
        if giveUpAt == nil { giveUpAt = .now.advanced(bySeconds: plan.holdSeconds) }
    }

    private func lookAtTime() {
        reap()
        if let startAt, MonotonicTime.now >= startAt { startDaemon() }
        if let giveUpAt, MonotonicTime.now >= giveUpAt { giveUp() }
        if let start, MonotonicTime.now.seconds(since: start.since) > Self.startSeconds {
            kill(start.process, SIGKILL)
        }
        killHanging()
        // Nobody will ever ask for anything below a directory that is gone.
        if !connections.contains(where: { $0.serves != nil }), !Directories.exists(run) { mustEnd = true }
    }

    private func startDaemon() {
        guard let plan else { return }
        startAt = nil
        do throws(SystemError) {
            let log = try OwnedFD(open: plan.log, O_WRONLY | O_CREAT | O_APPEND)
            let process = try Subprocess.spawn(
                plan.command, output: log.raw, errors: log.raw, newSession: true)
            start = Start(process: process)
        } catch {
            log.error("a daemon cannot be started", metadata: ["reason": "\(error)"])
            startAt = .now.advanced(bySeconds: backoff.next())
        }
    }

    /// Takes note of started daemons that have ended; one that ends before it serves is tried again later.
    private func reap() {
        var status: Int32 = 0
        while true {
            let process = waitpid(-1, &status, WNOHANG)
            if process <= 0 { return }
            guard process == start?.process else { continue }
            start = nil
            if connections.contains(where: { $0.serves != nil }) { continue }
            startAt = .now.advanced(bySeconds: backoff.next())
        }
    }

    /// Without a daemon for too long: the connection ends with its last descriptor, and with it every wait.
    private func giveUp() {
        giveUpAt = nil
        guard kept != nil else { return }
        kept = nil
        log.error("no daemon serves: whoever waits for one gets an error now")
    }

    private func killHanging() {
        guard let plan, let probe, let index = connections.firstIndex(where: { $0.serves != nil }),
            let serves = connections[index].serves, let asked = probe.unansweredSince
        else { return }
        let since = max(asked, serves)
        let seconds = MonotonicTime.now.seconds(since: since)
        guard seconds >= plan.hangSeconds else { return }
        let process = connections[index].process
        log.error(
            "the daemon does not answer and is killed",
            metadata: ["process": "\(process)", "seconds": "\(Int(seconds))"])
        kill(process, SIGKILL)
        // Once: its connection ends with it.
        connections[index].serves = .now
    }
}

/// Seconds to wait before a daemon that has died is started again: at once, and longer when that happens again and
/// again.
struct RestartBackoff: Equatable {
    static let seconds = [0, 0, 0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30]
    private var deaths = 0

    mutating func next() -> Double {
        defer { deaths += 1 }
        return Self.seconds[min(deaths, Self.seconds.count - 1)]
    }
}
