// SPDX-License-Identifier: Apache-2.0

public import Base

/// `POST /v1/containers`: make everything ready that an OCI runtime needs to start a container.
public struct ContainerRequest: Codable, Equatable, Sendable {
    public var image: String
    /// Name of the container and of its volume; absent for one that is made up.
    public var name: String?
    /// Replaces the image's command; empty keeps it.
    public var command: [String] = []
    /// Replaces the image's entrypoint; an empty text removes it.
    public var entrypoint: String?
    /// `NAME=VALUE`, over the image's.
    public var environment: [String] = []
    /// `user[:group]`, names or numbers.
    public var user: String?
    public var workingDirectory: String?
    /// `SOURCE:TARGET[:ro]`, with absolute sources.
    public var volumes: [String] = []
    public var terminal = false
    /// The image itself, shared and read-only, in place of a clone.
    public var readOnly = false
    /// `host` or `none`.
    public var network = "host"
    /// Length of the clone's block file and file system; absent for the image's.
    public var sizeBytes: UInt64?
    /// Removes the volume with the container.
    public var remove = false
    /// `always`, `missing` or `never`: whether an image that names a registry is pulled; absent for what is
    /// configured.
    public var pull: String?
    /// Of an ordinary image that is pulled; absent for this machine's.
    public var platform: String?
    /// Takes down what the container reads until `POST /v1/profiles` asks for it.
    public var record = false
    /// The process that runs the runtime; when it is gone and the container too, the daemon cleans up.
    public var clientProcess: Int32

    public init(image: String, clientProcess: Int32) {
        self.image = image
        self.clientProcess = clientProcess
    }
}

/// What `POST /v1/containers` answers: one of the two.
public struct ContainerAnswer: Codable, Equatable, Sendable {
    public var container: ContainerInfo?
    /// The pull of the image, which lasts: watch it, and ask again when it has succeeded.
    public var operation: OperationInfo?
}

/// A container that is ready to start, or running.
public struct ContainerInfo: Codable, Equatable, Sendable {
    public let id: String
    public let image: String
    /// The bundle directory for the runtime.
    public let bundle: String
    public let rootDirectory: String
    /// The clone that is its root; absent for a read-only container.
    public let volume: String?
    /// Milliseconds that each step of the preparation took, in order.
    public let timings: [Timing]

    public typealias Timing = StepClock.Step
}
