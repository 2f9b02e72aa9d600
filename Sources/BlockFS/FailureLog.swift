// SPDX-License-Identifier: Apache-2.0

import Base
import Volumes

/// Says on the log which files could not be read because blocks did not come: for each file now and then.
final class FailureLog: Sendable {
    private struct Quiet {
        var until: MonotonicTime
        var left = 0
    }

    /// Seconds between two lines about one file.
    private static let seconds = 10.0
    /// Files that are remembered; beyond that all are forgotten.
    private static let maximumFiles = 256

    private let quiet = Lock<[String: Quiet]>([:])

    func note(_ file: OpenFile, _ reason: String) {
        let name = file.node.name
        let left: Int? = quiet.withLock { quiet in
            let now = MonotonicTime.now
            if let known = quiet[name], now < known.until {
                quiet[name]?.left += 1
                return nil
            }
            if quiet.count >= Self.maximumFiles { quiet.removeAll() }
            return quiet.updateValue(Quiet(until: now.advanced(bySeconds: Self.seconds)), forKey: name)?.left
                ?? 0
        }
        guard let left else { return }
        var facts = ["reason": reason]
        if let volume = file.volume {
            facts["volume"] = name
            facts["image"] = volume.parentImage
        } else {
            facts["image"] = name
        }
        if left > 0 { facts["unsaid"] = "\(left)" }
        Log.error("blockfs", "blocks are not here; who needs them gets an I/O error", facts)
    }
}
