// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The OCI runtime that is installed, and the argument vectors with which it is called.
public struct Runtime: Sendable, Equatable {
    /// Path of the program.
    public let path: String
    /// Directory where the runtime keeps the state of its containers.
    public let stateDirectory: String

    public init(path: String, stateDirectory: String) {
        self.path = path
        self.stateDirectory = stateDirectory
    }

    /// Finds runc, or crun where only that is installed.
    /// - Parameters:
    ///   - runDirectory: the daemon's directory for sockets; the runtime's state goes to `runc` in it.
    ///   - searchPath: colon-separated directories; by default PATH and the places where root's programs are.
    public static func find(runDirectory: String, searchPath: String? = nil) throws(MountsError) -> Runtime {
        let given = searchPath ?? getenv("PATH").map { String(cString: $0) } ?? ""
        let places = given.split(separator: ":").map(String.init)
        let all = searchPath == nil ? places + ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"] : places
        for name in ["runc", "crun"] {
            for place in all where access("\(place)/\(name)", X_OK) == 0 {
                return Runtime(path: "\(place)/\(name)", stateDirectory: runDirectory + "/runc")
            }
        }
        throw .noRuntime(searched: all.joined(separator: ":"))
    }

    /// Creates, starts and waits for a container in the foreground, and removes it afterwards.
    public func run(id: String, bundle: String) -> [String] {
        base + ["run", "--bundle", bundle, id]
    }

    /// Creates a container without starting its program.
    public func create(id: String, bundle: String, pidFile: String) -> [String] {
        base + ["create", "--bundle", bundle, "--pid-file", pidFile, id]
    }

    public func start(id: String) -> [String] { base + ["start", id] }

    /// - Parameter signal: a signal's number or name, such as `TERM`.
    public func kill(id: String, signal: String) -> [String] { base + ["kill", id, signal] }

    /// - Parameter force: kill it first when it runs; a container that is not there is then no error.
    public func delete(id: String, force: Bool) -> [String] {
        base + ["delete"] + (force ? ["--force"] : []) + [id]
    }

    /// Prints the state as JSON, see `State` of the runtime specification.
    public func state(id: String) -> [String] { base + ["state", id] }

    private var base: [String] { [path, "--root", stateDirectory] }
}
