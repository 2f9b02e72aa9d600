// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import CLinux
import Glibc

/// The daemon's side of its keeper: finds one or starts one, gives it what it is to keep, and starts another when it
/// dies.
final class KeeperLink: Sendable {
    private struct State {
        var socket: Keeper.OwnedFDBox?
        /// The keeper, where it is a child of this daemon.
        var child: Int32?
        var isEnding = false
    }

    private let run: String
    private let logPath: String
    private let state = Lock(State())
    /// Seconds that a keeper may take to answer.
    private static let answerSeconds = 5.0

    init(places: Places) {
        run = places.run
        logPath = places.log
    }

    /// Whether a keeper listens for this run directory.
    static func isAlive(_ places: Places) -> Bool { KeeperSocket.connect(run: places.run) != nil }

    /// The connection that a daemon which died has left; nil when there is none that is still of use.
    func take() -> OwnedFD? {
        guard let socket = KeeperSocket.connect(run: run) else { return nil }
        let box = Keeper.OwnedFDBox(socket)
        guard KeeperSocket.send(KeeperRequest.take, to: box.raw),
            let (_, raw) = KeeperSocket.receive(
                KeeperAnswer.self, from: box.raw, seconds: Self.answerSeconds)
        else { return nil }
        state.withLock { $0.socket = box }
        return raw >= 0 ? OwnedFD(taking: raw) : nil
    }

    /// Has a keeper watch over this daemon from now on, one of this program's version.
    ///
    /// - Parameter connection: gives a descriptor of the FUSE connection; nil when a death cannot be survived.
    func begin(_ plan: KeeperPlan, connection: @escaping @Sendable () -> OwnedFD?) throws(Failure) {
        let former = state.withLock { $0.socket }
        if let former, Self.isSameProgram(former.raw) {
            try hold(plan, former, descriptor: nil)
        } else {
            try startKeeper(plan, connection())
            if let former { _ = KeeperSocket.send(KeeperRequest.retire, to: former.raw) }
        }
        do throws(SystemError) {
            _ = try NamedThread("keeper", detached: true) { [self] in stay(plan, connection) }
        } catch {
            throw Failure(error)
        }
    }

    /// Says that this daemon ends and another one will come; false when nobody keeps anything for that one.
    func leave() -> Bool {
        let socket = end()
        guard let socket, KeeperSocket.send(KeeperRequest.leave, to: socket.raw) else { return false }
        return KeeperSocket.receive(KeeperAnswer.self, from: socket.raw, seconds: Self.answerSeconds) != nil
    }

    /// Says that there is nothing to be kept any more.
    func bye() {
        if let socket = end() { _ = KeeperSocket.send(KeeperRequest.bye, to: socket.raw) }
    }

    private func end() -> Keeper.OwnedFDBox? {
        state.withLock { state in
            state.isEnding = true
            return state.socket
        }
    }

    private func hold(
        _ plan: KeeperPlan, _ socket: Keeper.OwnedFDBox, descriptor: borrowing OwnedFD?
    ) throws(Failure) {
        let raw: Int32 =
            switch descriptor {
            case .some(let descriptor): descriptor.raw
            case .none: -1
            }
        guard KeeperSocket.send(KeeperRequest.hold(plan), to: socket.raw, descriptor: raw),
            KeeperSocket.receive(KeeperAnswer.self, from: socket.raw, seconds: Self.answerSeconds) != nil
        else { throw Failure(.failed, "slacker keeper: does not answer; see \(logPath)") }
        state.withLock { $0.socket = socket }
    }

    private func startKeeper(_ plan: KeeperPlan, _ descriptor: consuming OwnedFD?) throws(Failure) {
        let socket: Keeper.OwnedFDBox
        let child: Int32
        do throws(SystemError) {
            let pair = try KeeperSocket.pair()
            let log = try OwnedFD(open: logPath, O_WRONLY | O_CREAT | O_APPEND)
            child = try Subprocess.spawn(
                ["/proc/self/exe", "keeper", run], output: log.raw, errors: log.raw, extra: [pair.other.raw],
                newSession: true)
            socket = Keeper.OwnedFDBox(pair.mine)
        } catch {
            throw Failure(error)
        }
        try hold(plan, socket, descriptor: descriptor)
        state.withLock { $0.child = child }
    }

    /// Waits for the end of the keeper, and starts another.
    private func stay(_ plan: KeeperPlan, _ connection: @Sendable () -> OwnedFD?) {
        var backoff = RestartBackoff()
        while let socket = state.withLock({ $0.socket }) {
            var waiting = pollfd(fd: socket.raw, events: 0, revents: 0)
            _ = retrying { poll(&waiting, 1, -1) }
            if state.withLock({ $0.isEnding }) { return }
            // A zombie where it was our child; a former daemon's is nobody's.
            if let child = state.withLock({ $0.child }) { _ = waitpid(child, nil, 0) }
            state.withLock { $0.child = nil }
            usleep(UInt32(backoff.next() * 1e6))
            if state.withLock({ $0.isEnding }) { return }
            Log.warning("daemon", "the keeper has died, another one is started")
            do throws(Failure) { try startKeeper(plan, connection()) } catch {
                Log.error("daemon", "without a keeper this daemon's death is an error: \(error)")
            }
        }
    }

    /// A keeper of another version of the program may know less than this daemon: then it is replaced.
    private static func isSameProgram(_ socket: Int32) -> Bool {
        guard let process = KeeperSocket.peer(of: socket) else { return false }
        var (mine, its) = (stat(), stat())
        return stat("/proc/self/exe", &mine) == 0 && stat("/proc/\(process)/exe", &its) == 0
            && mine.st_dev == its.st_dev && mine.st_ino == its.st_ino
    }
}
