// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A file descriptor with exactly one owner, closed when the owner goes.
public struct OwnedFD: ~Copyable, Sendable {
    public let raw: Int32

    /// Takes ownership of an open descriptor.
    public init(taking raw: Int32) {
        precondition(raw >= 0, "a descriptor is never negative")
        self.raw = raw
    }

    /// Opens a path; the descriptor never leaks into child processes.
    public init(open path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) {
        let raw = retrying { slk_open(path, flags | O_CLOEXEC, mode) }
        if raw < 0 { throw SystemError.last("open", path) }
        self.raw = raw
    }

    deinit { _ = close(raw) }

    /// Hands the descriptor over to a caller that will close it.
    public consuming func release() -> Int32 {
        let raw = self.raw
        discard self
        return raw
    }
}
