// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials
import Glibc
public import OCI

/// Makes the OCI runtime bundle of a container: a directory with `config.json` and the few files of /etc that
/// belong to the container and not to its image.
///
/// The root file system is mounted elsewhere, before.
public struct Bundle {
    /// The specification that `write` puts into `config.json`.
    public let specification: RuntimeSpecification
    private let etc: [(name: String, bytes: [UInt8])]
    private let directory: String

    /// Works out everything and makes the working directory in the root; writes nothing else yet.
    /// - Parameters:
    ///   - directory: the bundle's directory, absolute; it must exist before `write`.
    ///   - root: where the image is mounted; never taken as trusted.
    ///   - identifier: the container's name, a single path component; also its host name and cgroup.
    public init(
        directory: String, root: String, identifier: String, configuration: ImageConfiguration,
        options: BundleOptions = BundleOptions()
    ) throws(MountsError) {
        let execution = configuration.config ?? ImageConfiguration.Execution()
        let image = try ImageRoot(root)
        let user = try UserResolution(
            options.user ?? execution.user ?? "", passwd: try image.lines(of: "/etc/passwd"),
            group: try image.lines(of: "/etc/group"))
        let hostname = options.hostname ?? String(identifier.prefix(63))
        let cwd = try Self.workingDirectory(options.workingDirectory, execution.workingDirectory)
        if !options.readOnly { try image.makeDirectories(cwd) }
        let etc = Self.files(hostname: hostname, network: options.network)
        // A read-only root that lacks the file offers no place to mount it on.
        let mountable = etc.filter { !options.readOnly || image.exists("/etc/" + $0.name) }
        self.directory = directory
        self.etc = mountable
        let process = RuntimeSpecification.Process(
            terminal: options.terminal,
            user: .init(
                uid: user.uid, gid: user.gid,
                additionalGids: user.additionalGids.isEmpty ? nil : user.additionalGids),
            args: try Self.arguments(execution, options),
            env: try Self.environment(execution, options, home: user.home, hostname: hostname), cwd: cwd,
            capabilities: Self.capabilities(uid: user.uid), rlimits: BundleDefaults.limits(),
            noNewPrivileges: false)
        specification = RuntimeSpecification(
            ociVersion: "1.0.2", process: process, root: .init(path: root, readonly: options.readOnly),
            hostname: hostname,
            mounts: BundleDefaults.mounts
                + mountable.map { Self.bind("\(directory)/\($0.name)", "/etc/\($0.name)") }
                + Self.volumes(execution, options) + (try Self.hostMounts(options)),
            linux: Self.linux(identifier, options.network))
    }

    /// Finds out whether the program to run is in the image.
    ///
    /// Errors: `.commandNotFound`, `.commandNotExecutable`.
    public func checkCommand() throws(MountsError) {
        let process = specification.process
        let places = Set(specification.mounts.map(\.destination))
        let own = Set(BundleDefaults.mounts.map(\.destination) + etc.map { "/etc/" + $0.name })
        // What is mounted from outside cannot be looked at here; then the runtime has the last word.
        guard let command = process.args.first, places.isSubset(of: own) else { return }
        let lookup = CommandLookup(
            command: command, environment: process.env, workingDirectory: process.cwd)
        try lookup.check(in: try ImageRoot(specification.root.path))
    }

    /// Writes `config.json` and its companions.
    public func write() throws(MountsError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let json: Data
        do { json = try encoder.encode(specification) } catch {
            throw .invalid(what: "bundle", value: directory, reason: "not expressible as json: \(error)")
        }
        try MountsError.wrapping { () throws(SystemError) in
            for file in etc { try Self.store(file.bytes, "\(directory)/\(file.name)", mode: 0o644) }
            try Self.store(Array(json), "\(directory)/config.json", mode: 0o600)
        }
    }

    /// The mode is exact: every user of the container reads these files, whatever the daemon's umask.
    private static func store(_ bytes: [UInt8], _ path: String, mode: UInt32) throws(SystemError) {
        let file = try File(open: path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        if fchmod(file.fd, mode) < 0 { throw .last("fchmod", path) }
        try file.write(bytes, at: 0)
    }

    static func arguments(
        _ execution: ImageConfiguration.Execution, _ options: BundleOptions
    ) throws(MountsError) -> [String] {
        let words: [String]
        if let entrypoint = options.entrypoint {
            words = (entrypoint.isEmpty ? [] : [entrypoint]) + options.command
        } else {
            let command = options.command.isEmpty ? execution.command ?? [] : options.command
            words = (execution.entrypoint ?? []) + command
        }
        if words.isEmpty { throw .noCommand }
        return words
    }

    /// The image's variables, then those given; PATH, HOME, HOSTNAME and TERM as Docker sets them.
    static func environment(
        _ execution: ImageConfiguration.Execution, _ options: BundleOptions, home: String, hostname: String
    ) throws(MountsError) -> [String] {
        var entries = [BundleDefaults.path, "HOSTNAME=" + hostname]
        if options.terminal { entries.append("TERM=xterm") }
        entries.append("HOME=" + home)
        for entry in (execution.environment ?? []) + options.environment {
            guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex, !entry.contains("\0")
            else {
                throw .invalid(what: "environment entry", value: "'\(entry)'", reason: "write NAME=VALUE")
            }
            let name = entry[...equals]
            entries.removeAll { $0.hasPrefix(name) }
            entries.append(entry)
        }
        return entries
    }

    private static func workingDirectory(_ given: String?, _ image: String?) throws(MountsError) -> String {
        if let given, !given.hasPrefix("/") {
            throw .invalid(what: "working directory", value: given, reason: "not an absolute path")
        }
        let path = given ?? image ?? ""
        // Dots are resolved by text: `..` at the root stays there, as in the kernel.
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    /// Only root starts with capabilities in force; for others they bound what set-id programs may regain.
    private static func capabilities(uid: UInt32) -> RuntimeSpecification.Capabilities {
        let all = BundleDefaults.capabilities
        let inForce = uid == 0 ? all : []
        return .init(bounding: all, effective: inForce, permitted: inForce)
    }

    private static func files(
        hostname: String, network: BundleOptions.Network
    ) -> [(name: String, bytes: [UInt8])] {
        var hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        var resolver: [UInt8] = []
        if network == .host {
            hosts = ((try? File.small("/etc/hosts")).map { String(decoding: $0, as: UTF8.self) }) ?? hosts
            resolver = (try? File.small("/etc/resolv.conf")) ?? []
        }
        if !hosts.hasSuffix("\n") { hosts += "\n" }
        hosts += "127.0.0.1\t\(hostname)\n"
        return [
            ("hosts", Array(hosts.utf8)), ("hostname", Array((hostname + "\n").utf8)),
            ("resolv.conf", resolver),
        ]
    }

    private static func bind(
        _ source: String, _ destination: String, readOnly: Bool = false
    )
        -> RuntimeSpecification.Mount
    {
        .init(
            destination: destination, type: "bind", source: source,
            options: ["rbind", "rprivate", readOnly ? "ro" : "rw"])
    }

    private static func hostMounts(
        _ options: BundleOptions
    ) throws(MountsError) -> [RuntimeSpecification.Mount] {
        for mount in options.mounts where access(mount.source, F_OK) < 0 {
            throw .last("mount source", mount.source)
        }
        return options.mounts.map { bind($0.source, $0.destination, readOnly: $0.readOnly) }
    }

    /// The volumes that an image declares are part of the container's own root; they need a place of their
    /// own only where that cannot be written.
    private static func volumes(
        _ execution: ImageConfiguration.Execution, _ options: BundleOptions
    ) -> [RuntimeSpecification.Mount] {
        guard options.readOnly else { return [] }
        let taken = Set(options.mounts.map(\.destination))
        return (execution.volumes ?? [:]).keys.sorted().filter { $0.hasPrefix("/") && !taken.contains($0) }
            .map {
                BundleDefaults.mount($0, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755", "tmpcopyup")
            }
    }

    private static func linux(
        _ identifier: String, _ network: BundleOptions.Network
    ) -> RuntimeSpecification.Linux {
        var namespaces = ["pid", "ipc", "uts", "mount"]
        if network != .host { namespaces.append("network") }
        // With version 1 the namespace hides the controllers from the runtime's own mounts.
        if Directories.exists("/sys/fs/cgroup/cgroup.controllers") { namespaces.append("cgroup") }
        return RuntimeSpecification.Linux(
            namespaces: namespaces.map { .init(type: $0) },
            resources: .init(devices: [.init(allow: false, access: "rwm")]),
            cgroupsPath: "/slacker/" + identifier, maskedPaths: BundleDefaults.maskedPaths,
            readonlyPaths: BundleDefaults.readonlyPaths)
    }
}
