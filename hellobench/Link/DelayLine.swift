// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Carries bytes from one socket to another, each a fixed time after it came, however many are on their way.
///
/// A reader stamps what it receives, a writer sends it when its time has come, so the delay costs no bandwidth. What
/// is under way is bounded: beyond `capacityBytes` the reader stops, as a full router would make the sender stop.
final class DelayLine: @unchecked Sendable {
    // Unchecked because: the queue is only touched under `mutex`.

    /// Carries 1 Gbit/s at a delay of half a second.
    private static let capacityBytes = 64 << 20
    private static let pieceBytes = 256 << 10

    private struct Piece {
        let bytes: [UInt8]
        /// Nanoseconds of the monotonic clock.
        let dueAt: Int64
    }

    private let source: Int32
    private let target: Int32
    private let delayNanoseconds: Int64
    /// Added to the first piece: what setting up the connection would have taken.
    private let firstDelayNanoseconds: Int64
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var queue: [Piece] = []
    private var queuedBytes = 0
    private var hasEnded = false

    init(from source: Int32, to target: Int32, delayNanoseconds: Int64, firstDelayNanoseconds: Int64 = 0) {
        self.source = source
        self.target = target
        self.delayNanoseconds = delayNanoseconds
        self.firstDelayNanoseconds = firstDelayNanoseconds
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Reads until the source ends or the target is gone.
    func receive() {
        var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
        var isFirst = true
        while true {
            let count = recv(source, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            pthread_mutex_lock(mutex)
            if count <= 0 || hasEnded { break }
            while queuedBytes > Self.capacityBytes, !hasEnded { pthread_cond_wait(changed, mutex) }
            let delay = delayNanoseconds + (isFirst ? firstDelayNanoseconds : 0)
            isFirst = false
            queue.append(Piece(bytes: Array(buffer[..<count]), dueAt: Self.now() + delay))
            queuedBytes += count
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        hasEnded = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// Writes what has become due, until the source has ended and all of it is written.
    func deliver() {
        while let pieces = next() {
            for piece in pieces {
                Self.sleep(until: piece.dueAt)
                if !send(piece.bytes) { return giveUp() }
            }
        }
        shutdown(target, Int32(SHUT_WR))
    }

    /// Everything that is queued; nil at the end.
    private func next() -> [Piece]? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while queue.isEmpty {
            if hasEnded { return nil }
            pthread_cond_wait(changed, mutex)
        }
        defer {
            queue = []
            queuedBytes = 0
            pthread_cond_broadcast(changed)
        }
        return queue
    }

    private static func sleep(until time: Int64) {
        var due = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nil) == EINTR {}
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    target, buffer.baseAddress.map { $0 + done }, buffer.count - done,
                    Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            done += count
        }
        return true
    }

    /// The target is gone: the source must not go on either.
    private func giveUp() {
        pthread_mutex_lock(mutex)
        hasEnded = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }
}
