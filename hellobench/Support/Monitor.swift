// SPDX-License-Identifier: Apache-2.0

import Glibc

/// State that several threads share, and a way to wait for it to change.
final class Monitor<State>: @unchecked Sendable {
    // Unchecked because: the state is only touched under `mutex`.

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Looks at the state, or changes it; whoever waits looks again.
    @discardableResult
    func use<T, E: Error>(_ body: (inout State) throws(E) -> T) throws(E) -> T {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `body` finds what it looks for.
    ///
    /// - Parameter deadline: nanoseconds of the monotonic clock; then, and only then, the result is nil.
    func wait<T>(until deadline: Int64, for body: (inout State) -> T?) -> T? {
        var due = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let found = body(&state) { return found }
            if pthread_cond_timedwait(changed, mutex, &due) == ETIMEDOUT { return body(&state) }
        }
    }
}

/// The clock that never jumps.
enum Monotonic {
    /// Nanoseconds since the machine was started.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func seconds(from begin: Int64, to end: Int64) -> Double { Double(end - begin) / 1e9 }

    static func after(_ seconds: Double) -> Int64 { now + Int64(seconds * 1e9) }
}
