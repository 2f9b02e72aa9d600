// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A moment on the clock that no one can set: for deadlines and durations, never for display.
public struct MonotonicTime: Comparable, Sendable {
    public let nanoseconds: UInt64

    public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    public static var now: MonotonicTime {
        var time = Glibc.timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// A later moment; never an earlier one, and at most a century on, so that "for ever" can be said.
    public func advanced(bySeconds seconds: Double) -> MonotonicTime {
        let centurySeconds = 3.2e9
        return MonotonicTime(nanoseconds: nanoseconds + UInt64(min(max(0, seconds), centurySeconds) * 1e9))
    }

    public func seconds(since earlier: MonotonicTime) -> Double {
        Double(nanoseconds) / 1e9 - Double(earlier.nanoseconds) / 1e9
    }

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    var timespec: Glibc.timespec {
        Glibc.timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }
}
