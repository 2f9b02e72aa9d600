// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A registry on the far side of a link, Debian's docker-registry.
///
/// What it holds stays there for the next run.
final class BenchRegistry {
    static let tools = [
        (program: "docker-registry", package: "docker-registry"), (program: "skopeo", package: "skopeo"),
        (program: "curl", package: "curl"),
    ]
    /// The tag of images as they came.
    static let ordinaryTag = "latest"
    private static let port: UInt16 = 5000

    let link: BenchLink
    private let commands: Commands
    private let storage: String
    private let configuration: String
    private let nearHost: String
    private var process: ChildProcess?

    /// - Parameters:
    ///   - storage: the directory of what it holds.
    ///   - directory: for its configuration and log.
    init(
        _ link: BenchLink, storage: String, directory: String, _ commands: Commands, _ cleanup: Cleanup
    ) throws {
        self.link = link
        self.commands = commands
        self.storage = storage
        configuration = directory + "/registry.yml"
        let settings = RegistryProcess.settings(storage, "127.0.0.1:\(Self.port)", logLevel: "error")
        try Files.write(Array(settings.utf8), to: configuration)
        try commands.run(["mkdir", "-p", storage])
        let log = directory + "/registry.log"
        let process = try link.onFarSide { [configuration] in
            try ChildProcess(["docker-registry", "serve", configuration], outputPath: log)
        }
        self.process = process
        cleanup.add("docker-registry") { process.stop(graceSeconds: 10) }
        nearHost =
            "\(link.farAddress):\(try link.lengthen(port: Self.port, milliseconds: 0, at: link.farAddress))"
        try commands.wait(for: "docker-registry", seconds: 30) {
            if let status = process.poll() {
                let tail = (Files.text(log) ?? "").split(separator: "\n").suffix(2).joined(separator: "; ")
                throw BenchError.commandFailed(command: "docker-registry", status: status, output: tail)
            }
            return try link.onFarSide { try Self.answers(commands) }
        }
    }

    private static func answers(_ commands: Commands) throws -> Bool {
        let url = "http://127.0.0.1:\(port)/v2/"
        return (try? commands.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url])) == "200"
    }

    /// How it is reached over a line of that length.
    ///
    /// - Parameter isOther: by its other address, where engines take it for another registry, with nothing
    ///   of what they pulled from this one.
    func host(_ shape: LinkShape?, isOther: Bool = false) throws -> String {
        let address = isOther ? link.otherAddress : link.farAddress
        let delay = shape?.delayMilliseconds ?? 0
        return "\(address):\(try link.lengthen(port: Self.port, milliseconds: delay, at: address))"
    }

    /// As it is reached while images are made ready.
    func reference(_ repository: String, _ tag: String) -> String { "\(nearHost)/\(repository):\(tag)" }

    /// Puts an image in under the tag of ordinary ones, at once, past the line.
    ///
    /// - Parameter source: as skopeo names it, such as `oci:DIRECTORY:TAG`.
    func upload(_ source: String, to repository: String) throws {
        try link.onFarSide {
            try commands.run(
                [
                    "skopeo", "copy", "--quiet", "--dest-tls-verify=false", source,
                    "docker://127.0.0.1:\(Self.port)/\(repository):\(Self.ordinaryTag)",
                ], seconds: 1800)
        }
    }

    /// The digest of a tag's manifest in hexadecimal digits; nil when there is no such tag.
    func digest(_ repository: String, tag: String) -> String? {
        let link = folder(repository) + "/_manifests/tags/\(tag)/current/link"
        return Files.text(link)?.split(separator: ":").last.map { String($0.prefix(64)) }
    }

    func has(_ repository: String, tag: String) -> Bool { digest(repository, tag: tag) != nil }

    /// Reads what a repository holds, so that it comes from memory: the registry's disk is not what is
    /// measured.
    func warm(_ repository: String) throws {
        for digest in blobs(of: repository) {
            try Interrupt.check()
            try Files.readThrough(blob(digest))
        }
    }

    /// The sizes of what a repository holds, by digest.
    func blobSizes(_ repository: String) -> [String: UInt64] {
        var sizes: [String: UInt64] = [:]
        for digest in blobs(of: repository) {
            var info = stat()
            if stat(blob(digest), &info) == 0 { sizes[digest] = UInt64(info.st_size) }
        }
        return sizes
    }

    /// The content of a blob that is here.
    func content(ofBlob digest: String) -> [UInt8]? { Files.bytes(blob(digest)) }

    /// The path of a blob's file.
    func blob(_ digest: String) -> String { "\(base)/blobs/sha256/\(digest.prefix(2))/\(digest)/data" }

    /// Forgets a repository; its blobs stay until `collect`.
    func remove(_ repository: String) throws {
        try commands.run(["rm", "-rf", folder(repository)], interruptible: false)
    }

    /// Forgets one tag and its manifest; the layers stay the repository's.
    func remove(_ repository: String, tag: String) throws {
        let manifests = folder(repository) + "/_manifests"
        var paths = ["\(manifests)/tags/\(tag)"]
        if let digest = digest(repository, tag: tag) {
            paths.append("\(manifests)/revisions/sha256/\(digest)")
        }
        try commands.run(["rm", "-rf"] + paths, interruptible: false)
    }

    /// Removes the blobs that no repository names any more.
    func collect() throws {
        process?.stop(graceSeconds: 10)
        process = nil
        try commands.run(
            ["docker-registry", "garbage-collect", configuration], seconds: 300,
            interruptible: false)
    }

    private var base: String { storage + "/docker/registry/v2" }

    private func folder(_ repository: String) -> String { "\(base)/repositories/\(repository)" }

    /// Digests of layers, configurations and manifests.
    private func blobs(of repository: String) -> [String] {
        ["_layers", "_manifests/revisions"].flatMap { Files.names(in: "\(folder(repository))/\($0)/sha256") }
    }
}
