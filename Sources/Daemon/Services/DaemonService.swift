// SPDX-License-Identifier: Apache-2.0

/// A further interface of the daemon beside the control API, such as containerd's.
///
/// The daemon does not know what it is: the program hands it over.
public protocol DaemonService: Sendable {
    /// Begins to serve; returns once calls are taken.
    func start(_ host: ServiceHost) throws(Failure)

    /// Takes no more calls and waits a little for those under way; also after a start that failed.
    func stop()
}
