// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Asks a FUSE mount for its figures again and again, on a thread of its own that may hang there.
///
/// The question takes the way of every read: through the kernel, to a thread that serves, and back.
final class MountProbe: Sendable {
    /// Seconds between an answer and the next question.
    private static let pauseSeconds = 1.0

    private let asked = Lock<MonotonicTime?>(nil)

    /// Nil when no thread could be started: then nothing is watched.
    init?(directory: String) {
        let asked = asked
        let thread = try? NamedThread("probe", detached: true) {
            while true {
                asked.withLock { $0 = .now }
                var figures = statvfs()
                _ = statvfs(directory, &figures)
                asked.withLock { $0 = nil }
                usleep(UInt32(Self.pauseSeconds * 1e6))
            }
        }
        if thread == nil { return nil }
    }

    /// When the question was asked that has no answer yet.
    var unansweredSince: MonotonicTime? { asked.withLock { $0 } }
}
