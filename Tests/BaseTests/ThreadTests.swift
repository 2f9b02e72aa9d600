// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite struct ThreadTests {
    @Test func aThreadHasItsName() throws {
        let name = Lock("")
        let thread = try NamedThread("fifteen-letters") {
            let file = try? File(open: "/proc/thread-self/comm", O_RDONLY)
            let bytes = try? file?.read(count: 64, at: 0)
            name.withLock { $0 = String(decoding: bytes ?? [], as: UTF8.self) }
        }
        thread.join()
        #expect(name.withLock { $0 } == "fifteen-letters\n")
    }

    @Test func theBodyIsReleasedWhenTheThreadEnds() throws {
        final class Witness: Sendable {}
        weak let gone: Witness?
        do {
            let witness = Witness()
            gone = witness
            let thread = try NamedThread("release") { _ = witness }
            thread.join()
        }
        #expect(gone == nil)
    }

    @Test func aNameThatTheKernelWouldCutIsRefused() async {
        await #expect(processExitsWith: .failure) {
            _ = try NamedThread("sixteen-letters!") {}
        }
    }

    @Test func aStackThatDoesNotFitIsAnError() throws {
        let error = try failure { () throws(SystemError) in
            try NamedThread("huge", stackBytes: 1 << 60) {}.join()
        }
        #expect(error.call == "pthread_create")
        #expect(error.subject == "huge")
    }

    @Test func blockingWorkRunsApartAndReturns() async throws {
        #expect(try await runBlocking { 6 * 7 } == 42)
        await #expect(throws: SystemError(2, "open", "x")) {
            try await runBlocking { throw SystemError(2, "open", "x") }
        }
    }

    /// The cooperative pool has as many threads as the machine has cores; these sleepers are more.
    @Test func blockingWorkDoesNotBlockThePool() async throws {
        let start = MonotonicTime.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 { group.addTask { try await runBlocking { _ = usleep(100_000) } } }
            try await group.waitForAll()
        }
        #expect(MonotonicTime.now.seconds(since: start) < 3)
    }
}

@Suite struct MonotonicTimeTests {
    @Test func goesForwardOnly() {
        var last = MonotonicTime.now
        for _ in 0..<1000 {
            let now = MonotonicTime.now
            #expect(now >= last)
            last = now
        }
    }

    @Test func countsSecondsBothWays() {
        let start = MonotonicTime(nanoseconds: 5_000_000_000)
        let end = start.advanced(bySeconds: 1.5)
        #expect(end.nanoseconds == 6_500_000_000)
        #expect(end.seconds(since: start) == 1.5)
        #expect(start.seconds(since: end) == -1.5)
    }

    @Test(arguments: [0, -1, -Double.infinity, .nan])
    func neverGoesBack(seconds: Double) {
        #expect(MonotonicTime(nanoseconds: 7).advanced(bySeconds: seconds).nanoseconds == 7)
    }

    @Test(arguments: [1e12, Double.greatestFiniteMagnitude, .infinity])
    func forEverIsFarAway(seconds: Double) {
        let now = MonotonicTime.now
        #expect(now.advanced(bySeconds: seconds).seconds(since: now) > 3e9)
    }
}
