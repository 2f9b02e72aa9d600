// SPDX-License-Identifier: Apache-2.0

import Base
import Distribution
import Glibc
import HTTP
import Mounts
import OCI

/// Looks whether a machine has what Slacker needs, and says what to do where it has not.
public struct Doctor {
    /// What was looked at.
    public struct Finding: Codable, Sendable {
        public enum State: String, Codable, Sendable {
            case ok
            /// Something does less than it could.
            case note
            /// Something does not work.
            case bad
        }

        public let subject: String
        public let state: State
        public let text: String
        /// What to do; absent when all is well.
        public let cure: String?
    }

    let configuration: Configuration
    /// Of containerd.
    let containerdFile: String
    let containerdSocket: String

    public init(_ configuration: Configuration, containerdFile: String, containerdSocket: String) {
        self.configuration = configuration
        self.containerdFile = containerdFile
        self.containerdSocket = containerdSocket
    }

    /// Everything that needs no network, in the order in which to mend it.
    public func machine() -> [Finding] {
        [
            user(), device("/dev/fuse", "modprobe fuse"), device("/dev/loop-control", "modprobe loop"),
            ext4(), kernel(),
        ]
            + programs() + [credentials(), daemon()]
    }

    // MARK: The machine

    private func user() -> Finding {
        geteuid() == 0
            ? ok("user", "root") : bad("user", "not root: mounting needs its rights", "run slacker with sudo")
    }

    private func device(_ path: String, _ cure: String) -> Finding {
        if access(path, R_OK | W_OK) == 0 { return ok(path, "there") }
        return bad(path, "\(SystemError.last("access", path).reason)", cure)
    }

    private func ext4() -> Finding {
        let known = (try? File.small("/proc/filesystems")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        if known.split(whereSeparator: \.isWhitespace).contains("ext4") {
            return ok("ext4", "known to the kernel")
        }
        return bad("ext4", "not known to the kernel", "modprobe ext4")
    }

    private func kernel() -> Finding {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return note("kernel", release, "cannot tell its version") }
        if (numbers[0], numbers[1]) >= (5, 8) { return ok("kernel", release) }
        return bad("kernel", "\(release) cannot configure loop devices in one step", "use Linux 5.8 or later")
    }

    private func programs() -> [Finding] {
        var findings: [Finding] = []
        if let runtime = try? Runtime.find(runDirectory: configuration.places.run) {
            findings.append(ok("runtime", runtime.path))
        } else {
            findings.append(
                note(
                    "runtime", "neither runc nor crun is there, so 'slacker run' cannot be used",
                    "install runc"))
        }
        if let path = Self.find("resize2fs") {
            findings.append(ok("resize2fs", path))
        } else {
            findings.append(
                note("resize2fs", "not there, so volumes cannot get another size", "install e2fsprogs"))
        }
        return findings
    }

    private func credentials() -> Finding {
        let files = configuration.registries.credentialFiles ?? []
        for file in files where access(file, R_OK) != 0 {
            return bad(
                "credentials", "\(file): \(SystemError.last("access", file).reason)",
                "make the file readable, or take it out of registries.credential_files")
        }
        return ok("credentials", files.isEmpty ? "in the usual files" : files.joined(separator: ", "))
    }

    private func daemon() -> Finding {
        let places = configuration.places
        let client = ControlClient(places, expectedRoot: nil, startDaemon: nil)
        do throws(Failure) {
            let status = try client.call("GET", "status", as: StatusInfo.self)
            return ok("daemon", "process \(status.process), version \(status.version), at \(places.run)")
        } catch {
            return note("daemon", "does not answer at \(places.socket)", "start it with 'slacker daemon'")
        }
    }

    // MARK: An image

    /// Whether an image would be read lazily.
    public func image(_ text: String) -> Finding {
        do {
            let loop = try TransferLoop(configuration.transferLoop)
            defer { loop.stop() }
            let registry = RegistryClient(loop: loop, settings: configuration.registries)
            let found = try BlockImageLookup.find(
                try Reference(parsing: text), policy: configuration.blockImagePolicy, in: registry)
            return finding(text, found)
        } catch {
            return bad(text, Failure(error).message, "check the name, the network and the credentials")
        }
    }

    private func finding(_ text: String, _ found: BlockImageLookup) -> Finding {
        switch found {
        case .block: ok(text, "a block image, lazy for slacker; containerd cannot pull it by this name")
        case .attached: ok(text, "lazy: it has a block image")
        case .ordinary:
            note(
                text, "not lazy: it has no block image",
                "make one with 'slacker pull --publish \(text)', with the right to push there")
        case .untrusted:
            note(
                text, "not lazy: its place is not trusted with block images",
                "name it in registries.block_images if it deserves that")
        case .missing: bad(text, "the registry has no such image", "check the name")
        }
    }

    // MARK: Parts

    func ok(_ subject: String, _ text: String) -> Finding {
        Finding(subject: subject, state: .ok, text: text, cure: nil)
    }

    func note(_ subject: String, _ text: String, _ cure: String) -> Finding {
        Finding(subject: subject, state: .note, text: text, cure: cure)
    }

    func bad(_ subject: String, _ text: String, _ cure: String) -> Finding {
        Finding(subject: subject, state: .bad, text: text, cure: cure)
    }

    /// Where a program is.
    static func find(_ name: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let places = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/bin"]
        return places.map { $0 + "/" + name }.first { access($0, X_OK) == 0 }
    }
}
