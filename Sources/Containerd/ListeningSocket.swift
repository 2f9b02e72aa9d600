// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Unix sockets with names in the file system.
enum ListeningSocket {
    /// Bytes that a path may have: the address holds an end as well, and a path another ending for a moment.
    static let pathLimit = 107 - newEnding.utf8.count
    private static let newEnding = ".new"

    /// Makes a socket that only its owner may connect to, under another name until `show`.
    ///
    /// - Returns: bound, not yet listening.
    static func bind(_ path: String) throws(SystemError) -> OwnedFD {
        precondition(path.utf8.count <= pathLimit, "the caller has checked the path")
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if raw < 0 { throw SystemError.last("socket", path) }
        let socket = OwnedFD(taking: raw)
        let path = path + newEnding
        unlink(path)
        if withAddress(path, { Glibc.bind(socket.raw, $0, $1) }) < 0 {
            throw SystemError.last("bind", path)
        }
        // Nobody can connect before it listens, so the mode is in time.
        if chmod(path, 0o600) < 0 { throw SystemError.last("chmod", path) }
        return socket
    }

    /// Gives a socket that listens its name, in place of a dead one's: who connects there is never refused.
    static func show(_ path: String) throws(SystemError) {
        if rename(path + newEnding, path) < 0 { throw SystemError.last("rename", path) }
    }

    /// Calls the body with the address of a path.
    static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
