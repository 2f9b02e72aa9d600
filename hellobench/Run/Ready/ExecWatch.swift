// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Sees when the program of a container is started and when it ends, whatever engine starts it.
///
/// The kernel reports every fork, exec and exit with its time (the proc connector). The container's is the
/// first exec of a process that is in the container's network namespace but in another PID namespace than we
/// are; what the engine runs to get there, runc for one, is in ours.
final class ExecWatch: Sendable {
    /// Times are nanoseconds of the monotonic clock.
    struct Life: Equatable {
        var executedAt: Int64?
        var endedAt: Int64?
    }

    private struct State {
        var network: UInt64?
        /// Processes that were seen in the container before they ran its program.
        var candidates: Set<pid_t> = []
        var process: pid_t?
        var life = Life()
        var isOver = false
    }

    private let socket: Int32
    private let ownProcesses: UInt64
    private let state = Monitor(State())

    /// Nil when the kernel does not report processes, or not to us.
    init?() {
        let protocolConnector: Int32 = 11
        socket = Glibc.socket(
            AF_NETLINK, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), protocolConnector)
        ownProcesses = Self.inode("/proc/self/ns/pid") ?? 0
        guard socket >= 0 else { return nil }
        guard Self.listen(socket) else {
            close(socket)
            return nil
        }
        pthread_detach(
            PlainThread.start { [socket, ownProcesses, state] in
                Self.receive(socket, ownProcesses, state)
                close(socket)
            })
    }

    deinit { state.use { $0.isOver = true } }

    /// Forgets what was, and looks for the container in that network namespace.
    func begin(_ network: NetworkSpace) {
        let inode = network.inode
        state.use {
            let isOver = $0.isOver
            $0 = State(network: inode)
            $0.isOver = isOver
        }
    }

    /// What was seen of the container.
    ///
    /// Reports may come a moment after what they tell, so this waits a little.
    ///
    /// - Parameter ended: the program is known to have ended.
    func life(ended: Bool) -> Life {
        state.wait(until: Monotonic.after(0.05)) { state in
            state.life.executedAt != nil && (!ended || state.life.endedAt != nil) ? state.life : nil
        } ?? state.use { $0.life }
    }
}

/// The connector's messages.
extension ExecWatch {
    private enum Event {
        case fork(child: pid_t)
        case exec(pid_t, at: Int64)
        case exit(pid_t, at: Int64)
    }

    /// Joins the group of those who are told, and asks to be told.
    private static func listen(_ socket: Int32) -> Bool {
        // sockaddr_nl: family, padding, our port (any), groups (1: processes).
        var address: [UInt32] = [UInt32(AF_NETLINK), 0, 1]
        let size = socklen_t(MemoryLayout<UInt32>.size * address.count)
        let bound = address.withUnsafeMutableBytes { bytes -> Int32 in
            guard let pointer = bytes.bindMemory(to: sockaddr.self).baseAddress else { return -1 }
            return bind(socket, pointer, size)
        }
        guard bound == 0 else { return false }
        var room: Int32 = 1 << 20
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(tv_sec: 0, tv_usec: 200_000)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        // nlmsghdr: length, type 3 (done) and flags, sequence, port; cn_msg: id 1.1 (processes), sequence,
        // acknowledgement, length and flags; then the operation: 1, listen.
        let request: [UInt32] = [40, 3, 0, 0, 1, 1, 0, 0, 4, 1]
        return request.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, 0) } == 40
    }

    private static func receive(_ socket: Int32, _ ownProcesses: UInt64, _ state: Monitor<State>) {
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while !state.use({ $0.isOver }) {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0, let event = event(buffer[..<count]) else { continue }
            note(event, ownProcesses, state)
        }
    }

    /// The event behind the two heads of 36 bytes together; nil for those that do not matter.
    private static func event(_ message: ArraySlice<UInt8>) -> Event? {
        func word(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(message[36 + offset + $1]) << UInt32(8 * $1) }
        }
        guard message.count >= 36 + 32 else { return nil }
        let time = Int64(word(8)) | Int64(word(12)) << 32
        let (process, group) = (pid_t(bitPattern: word(16)), pid_t(bitPattern: word(20)))
        switch word(0) {
        case 1:
            let (child, childGroup) = (pid_t(bitPattern: word(24)), pid_t(bitPattern: word(28)))
            // Otherwise a thread.
            return child == childGroup ? .fork(child: child) : nil
        case 2: return .exec(group, at: time)
        case 0x8000_0000: return process == group ? .exit(process, at: time) : nil
        default: return nil
        }
    }

    private static func note(_ event: Event, _ ownProcesses: UInt64, _ state: Monitor<State>) {
        guard let network = state.use({ $0.network }) else { return }
        switch event {
        case .fork(let child):
            guard isInside(child, network, ownProcesses) else { return }
            state.use { if $0.process == nil { $0.candidates.insert(child) } }
        case .exec(let process, let time):
            if state.use({ $0.process != nil }) { return }
            // A short program may have ended already; then it was a candidate at least.
            let isContainer =
                state.use { $0.candidates.contains(process) } || isInside(process, network, ownProcesses)
            guard isContainer else { return }
            state.use {
                $0.process = process
                $0.life.executedAt = time
            }
        case .exit(let process, let time):
            state.use { if $0.process == process { $0.life.endedAt = time } }
        }
    }

    private static func isInside(_ process: pid_t, _ network: UInt64, _ ownProcesses: UInt64) -> Bool {
        guard inode("/proc/\(process)/ns/net") == network, let processes = inode("/proc/\(process)/ns/pid")
        else {
            return false
        }
        return processes != ownProcesses
    }

    private static func inode(_ path: String) -> UInt64? {
        var info = stat()
        return stat(path, &info) == 0 ? UInt64(info.st_ino) : nil
    }
}
