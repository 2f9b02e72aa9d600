// SPDX-License-Identifier: Apache-2.0

import Daemon

#if Containerd
    import Containerd
#endif

/// What a daemon serves beside the control API.
enum Services {
    static func all() -> [any DaemonService] {
        #if Containerd
            [ContainerdService()]
        #else
            []
        #endif
    }
}
