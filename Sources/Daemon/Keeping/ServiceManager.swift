// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// systemd, where it has started this daemon: sd_notify(3) and its store of descriptors.
enum ServiceManager {
    private static let descriptorName = "slacker-fuse"
    /// The first descriptor that a service is given.
    private static let firstDescriptor: Int32 = 3

    /// A service manager starts this daemon again when it has died.
    static var isPresent: Bool { getenv("NOTIFY_SOCKET") != nil }

    static func tellReady() { tell("READY=1") }
    static func tellStopping() { tell("STOPPING=1") }

    /// Has the connection kept for the next daemon; systemd drops it when the service is stopped for good.
    static func store(_ connection: borrowing OwnedFD) {
        tell("FDSTOREREMOVE=1\nFDNAME=\(descriptorName)")
        tell("FDSTORE=1\nFDNAME=\(descriptorName)", connection.raw)
    }

    /// The connection that was stored; the others that came along are closed.
    static func storedConnection() -> OwnedFD? {
        guard text("LISTEN_PID").flatMap({ Int32($0) }) == getpid(),
            let count = text("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count < 64
        else { return nil }
        let names = (text("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var found: Int32?
        for index in 0..<count {
            let descriptor = firstDescriptor + index
            if Int(index) < names.count, names[Int(index)] == descriptorName, found == nil {
                found = descriptor
                _ = slk_fcntl_int(descriptor, F_SETFD, Int(FD_CLOEXEC))
            } else {
                close(descriptor)
            }
        }
        // Nobody else may think that they are his.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        return found.map { OwnedFD(taking: $0) }
    }

    /// Without a service manager nobody hears it.
    private static func tell(_ words: String, _ descriptor: Int32 = -1) {
        guard let path = text("NOTIFY_SOCKET"), let first = path.utf8.first,
            let address = address(path, isAbstract: first == UInt8(ascii: "@"))
        else { return }
        let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { return }
        let socket = OwnedFD(taking: raw)
        guard connect(socket.raw, address) else { return }
        _ = Array(words.utf8).withUnsafeBytes { bytes in
            retrying { slk_send_descriptor(socket.raw, bytes.baseAddress, bytes.count, descriptor) }
        }
    }

    private static func connect(_ socket: Int32, _ target: (address: sockaddr_un, length: Int)) -> Bool {
        withUnsafePointer(to: target.address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(target.length)) == 0
            }
        }
    }

    /// A name that begins with @ is not in the file system: its first byte is 0, and its length counts.
    private static func address(_ path: String, isAbstract: Bool) -> (address: sockaddr_un, length: Int)? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        if isAbstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let head = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2
        return (address, isAbstract ? head + bytes.count : MemoryLayout<sockaddr_un>.size)
    }

    private static func text(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
