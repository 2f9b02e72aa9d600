// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// What a daemon says to its keeper: one JSON object in one packet, with a descriptor where that is said.
enum KeeperRequest: Codable, Sendable {
    /// Gives the descriptor that is kept, if there is one, to a daemon that is about to serve.
    case take
    /// This daemon serves; keep the descriptor that comes along, if one does, and watch.
    case hold(KeeperPlan)
    /// This daemon ends so that another can serve: do not start one yet.
    case leave
    /// This daemon has taken its mounts away and ends: nothing is to be kept any more.
    case bye
    /// Another keeper has everything.
    case retire
}

/// What a keeper answers to every request but `bye` and `retire`; the descriptor comes along with it.
struct KeeperAnswer: Codable, Sendable {
    /// A descriptor comes along.
    var gives = false
}

/// How a keeper is to watch over a daemon.
struct KeeperPlan: Codable, Sendable, Equatable {
    /// Starts a daemon like this one; the program is the keeper's own.
    var command: [String]
    /// The FUSE mount, which is asked for its figures now and then.
    var fileSystem: String
    /// Where a daemon that the keeper starts writes its log.
    var log: String
    /// False where somebody else starts a daemon that has died, such as systemd.
    var restarts: Bool
    /// Seconds that the mount may take to answer before the daemon is killed.
    var hangSeconds: Double
    /// Seconds without a daemon after which everybody who waits gets an error.
    var holdSeconds: Double
}

/// Packets over a unix socket.
enum KeeperSocket {
    /// Bytes of a packet, at most: a command line and some paths.
    static let limitBytes = 1 << 16

    /// Where a keeper listens.
    static func path(run: String) -> String { run + "/keeper.sock" }

    /// A connection to the keeper of a run directory; nil when there is none.
    static func connect(run: String) -> OwnedFD? {
        guard let raw = try? make(), bindOrConnect(raw.raw, path(run: run), Glibc.connect) else { return nil }
        return raw
    }

    /// Listens, in the place of whoever listened there before.
    static func listen(run: String) throws(SystemError) -> OwnedFD {
        let path = path(run: run)
        let socket = try make()
        // Another name first, and that one in the place of the old: at no moment is there none.
        let fresh = path + ".new"
        unlink(fresh)
        guard bindOrConnect(socket.raw, fresh, Glibc.bind) else { throw SystemError.last("bind", fresh) }
        if chmod(fresh, 0o600) < 0 { throw SystemError.last("chmod", fresh) }
        if Glibc.listen(socket.raw, 16) < 0 { throw SystemError.last("listen", fresh) }
        if rename(fresh, path) < 0 { throw SystemError.last("rename", fresh) }
        return socket
    }

    /// The two ends of one connection.
    struct Pair: ~Copyable {
        let mine: OwnedFD
        let other: OwnedFD
    }

    static func pair() throws(SystemError) -> Pair {
        var ends: [Int32] = [0, 0]
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        if socketpair(AF_UNIX, type, 0, &ends) < 0 { throw SystemError.last("socketpair", "keeper") }
        return Pair(mine: OwnedFD(taking: ends[0]), other: OwnedFD(taking: ends[1]))
    }

    /// Sends a message; false when nobody is there to take it.
    static func send(_ message: some Encodable, to socket: Int32, descriptor: Int32 = -1) -> Bool {
        guard let bytes = try? JSON.encode(message), bytes.count <= limitBytes else { return false }
        let sent = bytes.withUnsafeBytes { part in
            retrying { slk_send_descriptor(socket, part.baseAddress, part.count, descriptor) }
        }
        return sent == bytes.count
    }

    /// Waits for one message; nil at the other's end, when the time is up, or when it cannot be understood.
    static func receive<Message: Decodable>(
        _ type: Message.Type, from socket: Int32, seconds: Double
    ) -> (message: Message, descriptor: Int32)? {
        var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard retrying({ poll(&waiting, 1, Int32(seconds * 1000)) }) > 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: limitBytes)
        var descriptor: Int32 = -1
        let count = buffer.withUnsafeMutableBytes { part in
            retrying { slk_receive_descriptor(socket, part.baseAddress, part.count, 0, &descriptor) }
        }
        guard count > 0, let message = try? JSON.decode(type, Array(buffer[..<count])) else {
            if descriptor >= 0 { close(descriptor) }
            return nil
        }
        return (message, descriptor)
    }

    /// The process at the other end, if it is root's.
    static func peer(of socket: Int32) -> Int32? {
        var process: Int32 = 0
        var user: UInt32 = 0
        guard slk_peer(socket, &process, &user) == 0, user == 0 else { return nil }
        return process
    }

    private static func make() throws(SystemError) -> OwnedFD {
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let raw = socket(AF_UNIX, type, 0)
        if raw < 0 { throw SystemError.last("socket", "keeper") }
        return OwnedFD(taking: raw)
    }

    private static func bindOrConnect(
        _ socket: Int32, _ path: String,
        _ call: (Int32, UnsafePointer<sockaddr>?, socklen_t) -> Int32
    ) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return false
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(socket, $0, size) == 0 }
        }
    }
}
