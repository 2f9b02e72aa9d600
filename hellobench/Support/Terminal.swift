// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Progress goes to standard error, results to standard output.
enum Terminal {
    static func note(_ text: String) {
        write(2, text + "\n")
    }

    static func result(_ text: String) {
        write(1, text + "\n")
    }

    private static func write(_ descriptor: Int32, _ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }
}
