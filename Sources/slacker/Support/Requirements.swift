// SPDX-License-Identifier: Apache-2.0

import Daemon
import Glibc

/// What every verb that touches storage needs, checked before anything else happens.
enum Requirements {
    static func check() throws(Failure) {
        if geteuid() != 0 {
            throw Failure(.unavailable, "not root: mounting needs root's rights; run slacker with sudo")
        }
    }
}
