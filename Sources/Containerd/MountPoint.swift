// SPDX-License-Identifier: Apache-2.0

/// How containerd gets at a snapshot: a directory where the daemon has mounted it, to be shown elsewhere.
struct MountPoint: Sendable, Equatable {
    let directory: String
    let isReadOnly: Bool

    /// As mount(8) names it.
    var type: String { "bind" }
    var options: [String] { ["rbind", isReadOnly ? "ro" : "rw"] }
}
