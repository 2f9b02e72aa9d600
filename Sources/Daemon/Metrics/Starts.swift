// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// How often a run directory has had a daemon, kept in a small file there.
///
/// The directory goes with a restart of the machine, and so does the count.
struct Starts: Sendable {
    /// Daemons before this one, and those of them that did not end in order.
    let before: UInt64
    let uncleanBefore: UInt64
    private let path: String

    /// Counts this daemon; a file that cannot be read counts from 0 again.
    init(run: String) {
        path = run + "/starts"
        let numbers = ((try? File.small(path)).map { String(decoding: $0, as: UTF8.self) } ?? "")
            .split(separator: " ").compactMap { UInt64($0) }
        if numbers.count == 3 {
            before = numbers[0]
            uncleanBefore = numbers[1] + numbers[2]
        } else {
            (before, uncleanBefore) = (0, 0)
        }
        write(isServing: true)
    }

    func end() { write(isServing: false) }

    private func write(isServing: Bool) {
        let line = "\(before + 1) \(uncleanBefore) \(isServing ? 1 : 0)"
        try? Directories.replaceFile(path, with: Array(line.utf8))
    }
}
