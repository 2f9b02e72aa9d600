// SPDX-License-Identifier: Apache-2.0

import Base

/// Locks by name: work on one thing excludes other work on it and nothing else.
public final class KeyLocks: Sendable {
    private let held = Monitor<Set<String>>([])

    public init() {}

    /// Runs the body while this thread alone holds the keys; blocks, for plain threads.
    ///
    /// Whoever nests takes directories before images and volumes.
    public func with<T, E: Error>(_ keys: [String], _ body: () throws(E) -> T) throws(E) -> T {
        let wanted = Set(keys)
        // All at once or none: two threads that want the same keys in another order cannot block each other.
        held.wait { held in
            guard held.isDisjoint(with: wanted) else { return nil as Void? }
            held.formUnion(wanted)
            return ()
        }
        defer { held.withLock { $0.subtract(wanted) } }
        return try body()
    }
}
