// SPDX-License-Identifier: Apache-2.0

import Base
public import Daemon

/// Serves containerd's snapshots API on a unix socket, as a proxy plugin.
public final class ContainerdService: DaemonService {
    /// Below the run directory: where active snapshots are mounted.
    static let folder = "containerd"
    /// Seconds that calls under way may go on when the daemon ends.
    private static let stopSeconds = 2.0

    private let server = Lock<SnapshotsServer?>(nil)

    public init() {}

    public func start(_ host: ServiceHost) throws(Failure) {
        let settings = host.containerd
        guard let path = settings.path(host.places) else { return }
        if path.utf8.count > ListeningSocket.pathLimit {
            throw Failure(
                .unavailable, "\(path): too long for a socket; set containerd.socket to a shorter one")
        }
        let service = SnapshotsService(Snapshotter(host, volumeBytes: settings.volumeBytes))
        do {
            let made = try SnapshotsServer(path: path, service: service)
            server.withLock { $0 = made }
        } catch {
            throw Failure(.unavailable, "\(error); containerd.socket names another place")
        }
    }

    public func stop() {
        let server = server.withLock { server in
            defer { server = nil }
            return server
        }
        server?.stop(seconds: Self.stopSeconds)
    }
}
