// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import Glibc

/// Where the daemon keeps its state and its sockets; the same for every verb.
struct GlobalOptions: ParsableArguments {
    @Option(help: "Directory for images and volumes. (default: $SLACKER_ROOT or \(Places.defaultRoot))")
    var root: String?

    @Option(help: "Directory for sockets and mounts. (default: $SLACKER_RUN or \(Places.defaultRun))")
    var run: String?

    var places: Places {
        Places(
            root: Paths.absolute(root ?? Self.environment("SLACKER_ROOT") ?? Places.defaultRoot),
            run: Paths.absolute(run ?? Self.environment("SLACKER_RUN") ?? Places.defaultRun))
    }

    /// The root, if the user has named one: a daemon that serves another one must not answer.
    var namedRoot: String? {
        (root ?? Self.environment("SLACKER_ROOT")).map(Paths.absolute)
    }

    /// A client of the daemon of these places, which is started when none runs.
    func connect() throws(Failure) -> ControlClient {
        try Requirements.check()
        let places = places
        return try ControlClient(places, expectedRoot: namedRoot) { () throws(Failure) in
            try DaemonStarter(places).start()
        }
    }

    /// `slacker --root DIR verb` means the same as `slacker verb --root DIR`.
    static func takeLeading(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        while let first = rest.first {
            let names = ["--root": "SLACKER_ROOT", "--run": "SLACKER_RUN"]
            if let variable = names[first], let value = rest.dropFirst().first {
                setenv(variable, value, 1)
                rest = rest.dropFirst(2)
            } else if let (option, variable) = names.first(where: { first.hasPrefix($0.key + "=") }) {
                setenv(variable, String(first.dropFirst(option.count + 1)), 1)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        return Array(rest)
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}

/// Paths as the daemon needs them, which has another working directory.
enum Paths {
    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let raw = getcwd(nil, 0) else { return "/" + path }
        defer { free(raw) }
        let directory = String(cString: raw)
        return (directory == "/" ? "" : directory) + "/" + path
    }

    /// The path of an existing directory without links.
    static func directory(_ path: String) throws(Failure) -> String {
        guard let raw = realpath(path, nil) else {
            let reason = String(cString: strerror(errno)).lowercased()
            throw Failure(.notFound, "\(path): \(reason); give an existing directory")
        }
        defer { free(raw) }
        var info = stat()
        guard stat(raw, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
            throw Failure(.invalid, "\(path): not a directory; give an existing directory")
        }
        return String(cString: raw)
    }

    /// The path of a mount point without links above it; the mount itself is not looked at, it may be dead.
    static func mountPoint(_ path: String) throws(Failure) -> String {
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let name = trimmed.split(separator: "/").last, name != ".", name != ".." else {
            return try directory(path)
        }
        let parent = try directory(
            absolute(trimmed).split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/")
        return (parent == "/" ? "" : parent) + "/" + name
    }
}
