// SPDX-License-Identifier: Apache-2.0

public import CLinux
import Glibc

// `Synchronization.Mutex` spins and inherits priority on Linux, and slows down by orders of magnitude once
// threads outnumber cores. Everything on the data path uses these thin wrappers of pthread's locks instead.

/// A mutual exclusion lock around the state that it guards.
public final class Lock<State>: @unchecked Sendable {
    // Unchecked because: `state` is only touched between lock and unlock.
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline var state: State

    public init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        let result = pthread_mutex_init(mutex, nil)
        precondition(result == 0, "pthread_mutex_init: \(result)")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inlinable
    public func withLock<T, E: Error>(_ body: (inout State) throws(E) -> T) throws(E) -> T {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }
}

/// A lock whose holders can wait until another thread has changed the guarded state.
public final class Monitor<State>: @unchecked Sendable {
    // Unchecked because: `state` is only touched between lock and unlock.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    public init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` and wakes every waiter, which then looks at the state again.
    public func withLock<T, E: Error>(_ body: (inout State) throws(E) -> T) throws(E) -> T {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `body` returns a value.
    public func wait<T>(_ body: (inout State) -> T?) -> T {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let value = body(&state) {
                pthread_cond_broadcast(condition)
                return value
            }
            pthread_cond_wait(condition, mutex)
        }
    }

    /// Waits until `body` returns a value or the deadline has passed; nil in the latter case.
    public func wait<T>(until deadline: MonotonicTime, _ body: (inout State) -> T?) -> T? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var limit = deadline.timespec
        while true {
            if let value = body(&state) {
                pthread_cond_broadcast(condition)
                return value
            }
            if pthread_cond_timedwait(condition, mutex, &limit) == ETIMEDOUT {
                defer { pthread_cond_broadcast(condition) }
                return body(&state)
            }
        }
    }
}

/// Many readers or one writer; a waiting writer goes before new readers, so it is never starved.
///
/// A reader must not take the lock a second time: with a writer waiting in between that would be a deadlock.
public final class ReadWriteLock: @unchecked Sendable {
    // Unchecked because: the pointer never changes and pthread's functions may be called from any thread.
    @usableFromInline let lock: UnsafeMutablePointer<pthread_rwlock_t>

    public init() {
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_rwlock_t())
        let result = slk_rwlock_init_prefer_writer(lock)
        precondition(result == 0, "pthread_rwlock_init: \(result)")
    }

    deinit {
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    @inlinable
    public func reading<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    @inlinable
    public func writing<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }
}
