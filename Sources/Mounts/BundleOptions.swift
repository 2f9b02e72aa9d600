// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// What the command line says about a container, over what its image says.
public struct BundleOptions: Sendable, Equatable, Codable {
    public enum Network: String, Sendable, Codable, CaseIterable {
        /// The host's interfaces, names and name servers.
        case host
        /// A namespace with nothing but a loopback interface.
        case none
    }

    /// A file or directory of the host inside the container.
    public struct HostMount: Sendable, Equatable, Codable {
        public var source: String
        public var destination: String
        public var readOnly: Bool

        public init(source: String, destination: String, readOnly: Bool) {
            self.source = source
            self.destination = destination
            self.readOnly = readOnly
        }

        /// Reads `SRC:DST[:ro|:rw]`, both absolute.
        public init(parsing text: String) throws(MountsError) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard (2...3).contains(parts.count), parts.count == 2 || ["ro", "rw"].contains(parts[2]) else {
                throw .invalid(
                    what: "mount", value: text, reason: "write SOURCE:DESTINATION or SOURCE:DESTINATION:ro")
            }
            for path in parts[..<2] where !path.hasPrefix("/") {
                throw .invalid(what: "mount", value: text, reason: "'\(path)' is not an absolute path")
            }
            if parts[1].split(separator: "/").contains("..") || parts[1] == "/" {
                throw .invalid(
                    what: "mount", value: text, reason: "the destination must be a plain path below /")
            }
            self.init(source: parts[0], destination: parts[1], readOnly: parts.last == "ro")
        }
    }

    /// Replaces the image's command; empty to keep it.
    public var command: [String] = []
    /// Replaces the image's entrypoint and drops its command.
    public var entrypoint: String?
    /// `NAME=VALUE` entries that win over the image's.
    public var environment: [String] = []
    public var mounts: [HostMount] = []
    /// `user[:group]`, names or numbers.
    public var user: String?
    /// Absolute; made where it is missing.
    public var workingDirectory: String?
    /// The program gets a pseudo-terminal.
    public var terminal = false
    /// By default the container's name.
    public var hostname: String?
    /// The container cannot write its root file system.
    public var readOnly = false
    public var network = Network.host

    public init() {}
}
