// SPDX-License-Identifier: Apache-2.0

/// How a daemon is to start.
public struct DaemonStart: Sendable {
    public let configuration: Configuration
    /// Starts another one like it, with the program in front: for the keeper, when this one has died.
    public let command: [String]
    /// Takes the place of a daemon that runs.
    public let replaces: Bool

    /// What to serve beside the control API.
    public let services: [any DaemonService]

    public init(
        configuration: Configuration, command: [String], replaces: Bool, services: [any DaemonService] = []
    ) {
        self.configuration = configuration
        self.services = services
        self.command = command
        self.replaces = replaces
    }
}
