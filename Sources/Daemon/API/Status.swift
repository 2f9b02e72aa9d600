// SPDX-License-Identifier: Apache-2.0

/// What `GET /v1/status` answers.
public struct StatusInfo: Codable, Equatable, Sendable {
    public let version: String
    public let process: Int32
    public let root: String
    public let run: String
    public let uptimeSeconds: Double
    public let images: Int
    public let volumes: Int
    public let mounts: [MountInfo]
    public let containers: [ContainerInfo]
    /// Operations that are running.
    public let operations: [OperationInfo]
    /// Resident memory of the daemon.
    public let residentBytes: UInt64
    public let fetching: FetchInfo
    /// Images that are being filled or wait for that.
    public let fills: [FillInfo]
}

/// What `DELETE` and other requests without a result answer.
public struct Done: Codable, Equatable, Sendable {
    public init() {}
}

/// The version of the program and of the control API's paths.
public enum Version {
    public static let program = "0.1.0"
    public static let api = "v1"
}
