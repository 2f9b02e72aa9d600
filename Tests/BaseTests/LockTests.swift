// SPDX-License-Identifier: Apache-2.0

import Base
import Testing

/// Runs the body on so many threads at once and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    let threads = try (0..<count).map { index in try NamedThread("test-\(index)") { body(index) } }
    threads.forEach { $0.join() }
}

@Suite struct LockTests {
    private struct Refusal: Error, Equatable {}

    @Test func noIncrementIsLost() throws {
        let lock = Lock(0)
        try onThreads(8) { _ in
            for _ in 0..<20_000 { lock.withLock { $0 += 1 } }
        }
        #expect(lock.withLock { $0 } == 160_000)
    }

    @Test func anErrorReleasesTheLock() {
        let lock = Lock(1)
        #expect(throws: Refusal()) { try lock.withLock { _ throws(Refusal) in throw Refusal() } }
        #expect(lock.withLock { $0 } == 1)
        let monitor = Monitor(1)
        #expect(throws: Refusal()) { try monitor.withLock { _ throws(Refusal) in throw Refusal() } }
        #expect(monitor.withLock { $0 } == 1)
        let readWrite = ReadWriteLock()
        #expect(throws: Refusal()) { try readWrite.writing { () throws(Refusal) in throw Refusal() } }
        #expect(throws: Refusal()) { try readWrite.reading { () throws(Refusal) in throw Refusal() } }
        #expect(readWrite.writing { 2 } == 2)
    }

    /// Numbers go through a queue of one place; each side must wait for the other thousands of times.
    @Test func aMonitorHandsOverEveryItemInOrder() throws {
        let slot = Monitor<Int?>(nil)
        let received = Lock<[Int]>([])
        try onThreads(2) { side in
            for number in 0..<5000 {
                if side == 0 {
                    slot.wait { state -> Void? in
                        if state != nil { return nil }
                        state = number
                        return ()
                    }
                } else {
                    let value = slot.wait { state -> Int? in
                        defer { state = nil }
                        return state
                    }
                    received.withLock { $0.append(value) }
                }
            }
        }
        #expect(received.withLock { $0 } == Array(0..<5000))
    }

    @Test func aWaitEndsAtItsDeadline() {
        let monitor = Monitor(0)
        let start = MonotonicTime.now
        let result = monitor.wait(until: start.advanced(bySeconds: 0.05)) { $0 == 1 ? true : nil }
        #expect(result == nil)
        #expect(MonotonicTime.now.seconds(since: start) >= 0.049)
    }

    @Test func aWaitWhoseTimeIsUpStillLooksOnce() {
        let monitor = Monitor(1)
        #expect(monitor.wait(until: MonotonicTime(nanoseconds: 0)) { $0 == 1 ? "there" : nil } == "there")
    }

    @Test func aChangeEndsAWaitEarly() throws {
        let monitor = Monitor(false)
        let start = MonotonicTime.now
        try onThreads(2) { side in
            if side == 0 {
                monitor.withLock { $0 = true }
            } else {
                _ = monitor.wait(until: start.advanced(bySeconds: 60)) { $0 ? true : nil }
            }
        }
        #expect(MonotonicTime.now.seconds(since: start) < 30)
    }

    @Test func readersShareAndWritersDoNot() throws {
        struct Counts {
            var inside = 0
            var most = 0
            var writersInside = 0
            var overlap = false
        }
        let lock = ReadWriteLock()
        let counts = Monitor(Counts())
        try onThreads(6) { index in
            if index < 4 {
                lock.reading {
                    counts.withLock {
                        $0.inside += 1
                        $0.most = max($0.most, $0.inside)
                        $0.overlap = $0.overlap || $0.writersInside > 0
                    }
                    // Give a second reader the time to come in, so that sharing is seen and not left to luck.
                    _ = counts.wait(until: .now.advanced(bySeconds: 2)) { $0.most >= 2 ? true : nil }
                    counts.withLock { $0.inside -= 1 }
                }
            } else {
                _ = counts.wait(until: .now.advanced(bySeconds: 2)) { $0.most >= 2 ? true : nil }
                for _ in 0..<1000 {
                    lock.writing {
                        counts.withLock {
                            $0.writersInside += 1
                            $0.overlap = $0.overlap || $0.inside > 0 || $0.writersInside > 1
                        }
                        counts.withLock { $0.writersInside -= 1 }
                    }
                }
            }
        }
        #expect(counts.withLock { $0.most } >= 2)
        #expect(!counts.withLock { $0.overlap })
    }

    /// Readers that overlap all the time would keep a writer out for ever, were the lock to prefer them.
    @Test func aWriterIsNotStarved() throws {
        let lock = ReadWriteLock()
        let written = Lock(false)
        let limit = MonotonicTime.now.advanced(bySeconds: 30)
        try onThreads(4) { index in
            if index == 3 {
                lock.writing { written.withLock { $0 = true } }
                return
            }
            while !written.withLock({ $0 }), MonotonicTime.now < limit {
                lock.reading { for _ in 0..<2000 { _ = MonotonicTime.now } }
            }
        }
        #expect(MonotonicTime.now < limit)
    }
}
