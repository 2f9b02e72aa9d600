// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Writes the folder of an OCI image layout from layers that are there.
struct ImageLayout {
    /// A layer and what made it.
    struct Layer {
        let title: String
        let blob: String
        let facts: LayerFacts
    }

    let layers: [Layer]
    let configuration: ImageConfiguration

    private static let configurationType = "application/vnd.oci.image.config.v1+json"
    private static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    private static let layerType = "application/vnd.oci.image.layer.v1.tar+gzip"
    private static let usualPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Makes the layout in a folder that must be empty; layers are links to their files where possible.
    func write(to directory: String, _ commands: Commands) throws {
        let blobs = directory + "/blobs/sha256"
        try Files.makeDirectories(blobs)
        for layer in layers {
            let path = blobs + "/" + layer.facts.digest
            if Files.exists(path) { continue }
            if link(layer.blob, path) < 0 { try commands.run(["cp", "--reflink=auto", layer.blob, path]) }
        }
        let config = try add(configurationFile, Self.configurationType, to: directory, commands)
        let manifest = ManifestFile(
            schemaVersion: 2, mediaType: Self.manifestType, config: config,
            layers: layers.map {
                Descriptor(
                    mediaType: Self.layerType, digest: "sha256:" + $0.facts.digest,
                    size: $0.facts.compressedBytes
                )
            })
        var descriptor = try add(manifest, Self.manifestType, to: directory, commands)
        descriptor.annotations = ["org.opencontainers.image.ref.name": "latest"]
        try Files.write(try Self.json(["imageLayoutVersion": "1.0.0"]), to: directory + "/oci-layout")
        try Files.write(
            try Self.json(IndexFile(schemaVersion: 2, manifests: [descriptor])), to: directory + "/index.json"
        )
    }

    private var configurationFile: ConfigurationFile {
        let time = Self.text(ofTime: layers.last?.facts.time ?? 0)
        let path = configuration.environment.contains { $0.hasPrefix("PATH=") } ? [] : [Self.usualPath]
        return ConfigurationFile(
            created: time, architecture: Self.architecture, os: "linux",
            config: ConfigurationFile.Config(
                environment: path + configuration.environment,
                entrypoint: configuration.entrypoint.isEmpty ? nil : configuration.entrypoint,
                command: configuration.command.isEmpty ? nil : configuration.command,
                user: configuration.user, directory: configuration.directory),
            rootfs: ConfigurationFile.RootFS(
                type: "layers", diffIDs: layers.map { "sha256:" + $0.facts.diffID }),
            history: layers.map {
                ConfigurationFile.History(created: Self.text(ofTime: $0.facts.time), createdBy: $0.title)
            })
    }

    private func add(
        _ value: some Encodable, _ type: String, to directory: String, _ commands: Commands
    ) throws -> Descriptor {
        let content = try Self.json(value)
        let path = directory + "/blobs/new"
        try Files.write(content, to: path)
        let digest = String(try commands.run(["sha256sum", path]).prefix(64))
        try Files.rename(path, to: directory + "/blobs/sha256/" + digest)
        return Descriptor(mediaType: type, digest: "sha256:" + digest, size: content.count)
    }

    private static func json(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    /// As RFC 3339 has it.
    static func text(ofTime seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }

    private static var architecture: String {
        var name = utsname()
        uname(&name)
        let machine = withUnsafeBytes(of: &name.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return ["x86_64": "amd64", "aarch64": "arm64"][machine] ?? machine
    }
}

// The names of members are those of the OCI image specification.

private struct Descriptor: Encodable {
    let mediaType: String
    let digest: String
    let size: Int
    var annotations: [String: String]?
}

private struct ManifestFile: Encodable {
    let schemaVersion: Int
    let mediaType: String
    let config: Descriptor
    let layers: [Descriptor]
}

private struct IndexFile: Encodable {
    let schemaVersion: Int
    let manifests: [Descriptor]
}

private struct ConfigurationFile: Encodable {
    struct Config: Encodable {
        let environment: [String]
        let entrypoint: [String]?
        let command: [String]?
        let user: String?
        let directory: String?

        private enum CodingKeys: String, CodingKey {
            case environment = "Env"
            case entrypoint = "Entrypoint"
            case command = "Cmd"
            case user = "User"
            case directory = "WorkingDir"
        }
    }

    struct RootFS: Encodable {
        let type: String
        let diffIDs: [String]

        private enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    struct History: Encodable {
        let created: String
        let createdBy: String

        private enum CodingKeys: String, CodingKey {
            case created
            case createdBy = "created_by"
        }
    }

    let created: String
    let architecture: String
    let os: String
    let config: Config
    let rootfs: RootFS
    let history: [History]
}
