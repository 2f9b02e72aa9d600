// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Ctrl-C and its like only raise a flag; whoever waits looks at it and unwinds, so that all is cleaned up.
enum Interrupt {
    private static let raised = Atomic<Bool>(false)

    static func install() {
        // Touched once here: a signal handler must not be the first to initialise it.
        raised.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in Interrupt.raised.store(true, ordering: .relaxed) }
        }
        signal(SIGPIPE, SIG_IGN)
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) }

    static func check() throws(BenchError) {
        if isRaised { throw .interrupted }
    }
}
