// SPDX-License-Identifier: Apache-2.0

import Base

/// Children of this process that have answered and wait for the next request.
///
/// A container takes two requests, one at its start and one at its end, and each of them takes less than the
/// start of a process. Waiting ones sleep in a read of their standard input.
enum ChildPool {
    /// Children that wait at most; more only come of many requests at one time.
    private static let limit = 2

    private static let waiting = Lock<[Child.Spawned]>([])

    /// The one that was busy last: its memory is the warmest.
    static func take() -> Child.Spawned? {
        waiting.withLock { $0.popLast() }
    }

    /// False when enough wait already.
    static func giveBack(_ child: Child.Spawned) -> Bool {
        waiting.withLock { waiting in
            if waiting.count >= limit { return false }
            waiting.append(child)
            return true
        }
    }
}
