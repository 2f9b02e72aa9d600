// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import Glibc

/// Which daemon is meant; the same for every verb.
struct GlobalOptions: ParsableArguments {
    @Option(help: "Directory for images and volumes. (default: $SLACKER_ROOT or \(Places.defaultRoot))")
    var root: String?

    @Option(help: "Directory for sockets and mounts. (default: $SLACKER_RUN or \(Places.defaultRun))")
    var run: String?

    @Option(
        help: "Configuration file. (default: $\(Configuration.fileVariable) or \(Configuration.defaultFile))")
    var config: String?

    @Flag(name: .shortAndLong, help: "No progress and no summary; of lists the names alone.")
    var quiet = false

    func validate() {
        if quiet { Output.beQuiet() }
    }

    /// Everything that is configured for this command, and for a daemon that it starts.
    /// - Parameter settings: `section.name=value` of further flags.
    func configuration(_ settings: [String] = []) throws(Failure) -> Configuration {
        var flags: [FlagSetting] = []
        for text in settings { flags.append(try FlagSetting(parsing: text)) }
        if let root { flags.append(FlagSetting(path: "storage.root", text: root, flag: "--root")) }
        if let run { flags.append(FlagSetting(path: "storage.run", text: run, flag: "--run")) }
        return try Configuration(
            file: config, environment: Self.environment(), flags: flags, directory: Paths.current())
    }

    /// A client of the daemon that is meant, which is started when none runs.
    func connect() throws(Failure) -> ControlClient {
        try connect(configuration())
    }

    func connect(_ configuration: Configuration) throws(Failure) -> ControlClient {
        try Requirements.check()
        let places = configuration.places
        let starter = DaemonStarter(places, file: config.map(Paths.absolute))
        return ControlClient(places, expectedRoot: configuration.namesRoot ? places.root : nil) {
            () throws(Failure) in
            try starter.startUnlessKept()
        }
    }

    /// `slacker --root DIR verb` means the same as `slacker verb --root DIR`.
    static func moveLeading(_ arguments: [String]) -> [String] {
        let names = ["--root", "--run", "--config"]
        var rest = arguments[...]
        var options: [String] = []
        while let first = rest.first {
            if names.contains(first), rest.count > 1 {
                options += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if ["-q", "--quiet"].contains(first)
                || names.contains(where: { first.hasPrefix($0 + "=") })
            {
                options.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        // Only verbs take them: help and version have nothing to do with a daemon.
        guard let verb = rest.first, !verb.hasPrefix("-"), verb != "version", verb != "help" else {
            return Array(rest)
        }
        return [verb] + options + rest.dropFirst()
    }

    private static func environment() -> [String] {
        var entries: [String] = []
        var next = Glibc.environ
        while let entry = next.pointee {
            entries.append(String(cString: entry))
            next = next.advanced(by: 1)
        }
        return entries
    }
}

/// Paths as the daemon needs them, which has another working directory.
enum Paths {
    static func current() -> String {
        guard let raw = getcwd(nil, 0) else { return "/" }
        defer { free(raw) }
        return String(cString: raw)
    }

    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        let directory = current()
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
