// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite struct SystemErrorTests {
    @Test func saysWhatFailedOnWhatAndWhy() {
        let error = SystemError(EACCES, "open", "/x")
        #expect(error.reason == "permission denied")
        #expect(error.description == "/x: open: permission denied")
    }

    @Test func lastTakesTheErrorOfTheCallBefore() {
        #expect(close(-1) < 0)
        #expect(SystemError.last("close", "nothing") == SystemError(EBADF, "close", "nothing"))
    }

    @Test func retryingGoesOnOnlyAfterASignal() {
        var calls = 0
        let result: Int = retrying {
            calls += 1
            errno = calls < 3 ? EINTR : EIO
            return -1
        }
        #expect(result == -1)
        #expect(calls == 3)
        #expect(retrying { 5 } == 5)
    }
}
