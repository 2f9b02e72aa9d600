// SPDX-License-Identifier: Apache-2.0

import Containerd
import Daemon

/// What a daemon serves beside the control API.
enum Services {
    static func all() -> [any DaemonService] { [ContainerdService()] }
}
