// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import CLinux
import Glibc

/// What one daemon's life leaves to the next: the FUSE connection, and which life it is.
enum Succession {
    /// Whether the kernel can send a dead daemon's requests to the next one: since 6.9.
    static let isPossible: Bool = {
        var names = utsname()
        guard uname(&names) == 0 else { return false }
        let release = withUnsafeBytes(of: &names.release) { String(decoding: $0, as: UTF8.self) }
        return isPossible(release: release)
    }()

    static func isPossible(release: String) -> Bool {
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        return numbers.count == 2 && (numbers[0], numbers[1]) >= (6, 9)
    }

    /// Takes the connection that a former daemon has left with its keeper or with systemd, if it is still of use.
    static func takeConnection(_ places: Places, _ keeper: KeeperLink) -> OwnedFD? {
        let kept = keeper.take()
        guard isPossible else { return nil }
        if let kept, isAlive(kept.raw, places) { return kept }
        if let stored = ServiceManager.storedConnection(), isAlive(stored.raw, places) { return stored }
        return nil
    }

    /// The mount is there, and nobody has cut its connection.
    private static func isAlive(_ descriptor: Int32, _ places: Places) -> Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard retrying({ poll(&state, 1, 0) }) >= 0, Int32(state.revents) & (POLLERR | POLLNVAL) == 0 else {
            return false
        }
        var info = stat()
        let device = "/dev/fuse"
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFCHR else { return false }
        var node = stat()
        guard stat(device, &node) == 0, node.st_rdev == info.st_rdev else { return false }
        return Leftovers.isMounted(places.fileSystem)
    }

    /// The number of this life of a mount: the former one and one more, never 0.
    ///
    /// Not the former one even where that died at its start: what the kernel has of it must mean nothing here.
    static func nextEpoch(_ places: Places, isFirst: Bool) throws(SystemError) -> UInt16 {
        let path = places.epoch
        let bytes = isFirst ? nil : try? File.small(path, limitBytes: 64)
        let former = bytes.flatMap { UInt16(String(decoding: $0, as: UTF8.self)) }
        // Of a mount that there was before, and whose number cannot be read, any other is as good a guess.
        let next = isFirst ? 1 : (former ?? UInt16.random(in: 1...UInt16.max)) &+ 1
        let epoch = max(1, next)
        let fresh = path + ".new"
        let file = try File(open: fresh, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(Array("\(epoch)".utf8), at: 0)
        if rename(fresh, path) < 0 { throw SystemError.last("rename", fresh) }
        return epoch
    }
}
