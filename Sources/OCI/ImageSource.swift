// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials

/// Where on this machine an image comes from.
public enum ImageSource: Hashable, Sendable, CustomStringConvertible {
    /// An OCI image layout in a directory.
    case layout(directory: String, tag: String?)
    /// An OCI image layout in a plain tar file.
    case layoutArchive(path: String, tag: String?)
    /// What `docker save` writes, of old and new versions.
    case dockerArchive(path: String, tag: String?)
    /// One tar file that is the whole root file system: plain, gzip or zstd.
    case rootFileSystem(path: String)

    private static let schemes = ["oci", "oci-archive", "docker-archive", "rootfs"]

    /// Reads `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME[:TAG]]` or `rootfs:FILE`.
    ///
    /// The tag starts after the first colon of the rest, unless the rest is the path of something that exists.
    public static func parse(_ text: String) throws(OCIError) -> ImageSource {
        guard let colon = text.firstIndex(of: ":"), schemes.contains(String(text[..<colon])) else {
            throw .badSource(text, reason: "it has no known scheme")
        }
        let scheme = text[..<colon]
        let rest = String(text[text.index(after: colon)...])
        if rest.utf8.contains(0) { throw .badSource(text, reason: "its path holds a NUL") }
        var path = rest
        var tag: String?
        if scheme != "rootfs", !Directories.exists(rest), let separator = rest.firstIndex(of: ":") {
            path = String(rest[..<separator])
            tag = String(rest[rest.index(after: separator)...])
        }
        if path.isEmpty { throw .badSource(text, reason: "it has no path") }
        if tag?.isEmpty == true { throw .badSource(text, reason: "the tag is empty") }
        return switch scheme {
        case "oci": .layout(directory: path, tag: tag)
        case "oci-archive": .layoutArchive(path: path, tag: tag)
        case "docker-archive": .dockerArchive(path: path, tag: tag)
        default: .rootFileSystem(path: path)
        }
    }

    /// The text that `parse` reads.
    public var description: String {
        switch self {
        case .layout(let directory, let tag): "oci:" + directory + (tag.map { ":" + $0 } ?? "")
        case .layoutArchive(let path, let tag): "oci-archive:" + path + (tag.map { ":" + $0 } ?? "")
        case .dockerArchive(let path, let tag): "docker-archive:" + path + (tag.map { ":" + $0 } ?? "")
        case .rootFileSystem(let path): "rootfs:" + path
        }
    }

    /// Reads and checks manifest and configuration.
    ///
    /// Blocks on file reads.
    /// - Parameter platform: which image of an index; nil takes this machine's, or the only one there is.
    public func resolve(platform: Platform? = nil) throws(OCIError) -> ResolvedImage {
        switch self {
        case .layout(let directory, let tag):
            return try Layout(place: DirectoryPlace(name: directory), tag: tag).resolve(platform)
        case .layoutArchive(let path, let tag):
            return try Layout(place: try ArchivePlace(path), tag: tag).resolve(platform)
        case .dockerArchive(let path, let tag):
            let place = try ArchivePlace(path)
            // An archive without a `manifest.json` of Docker's may still be a layout.
            if try place.content(of: DockerArchive.manifestName) == nil,
                try place.content(of: "index.json") != nil
            {
                return try Layout(place: place, tag: tag).resolve(platform)
            }
            return try DockerArchive(place: place, tag: tag).resolve(platform)
        case .rootFileSystem(let path):
            return try Self.rootFileSystem(path, platform ?? .host)
        }
    }

    private static func rootFileSystem(_ path: String, _ platform: Platform) throws(OCIError) -> ResolvedImage
    {
        let content = try BlobContent(wholeFile: path)
        let layer = LayerSource(
            name: path, compression: LayerCompression(sniffing: try content.prefix(16)), digest: nil,
            diffID: nil,
            content: content)
        let configuration = ImageConfiguration(platform: platform)
        let bytes: Data
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            bytes = try encoder.encode(configuration)
        } catch {
            throw .badDocument(path, reason: "its configuration cannot be written: \(error)")
        }
        return ResolvedImage(configuration: configuration, configurationBytes: Array(bytes), layers: [layer])
    }
}

/// The image that this configuration describes must be for the platform that was asked for.
func check(_ configuration: ImageConfiguration, serves platform: Platform?) throws(OCIError) {
    guard let platform, !configuration.platform.serves(platform) else { return }
    throw .noSuchPlatform("\(platform)", available: ["\(configuration.platform)"])
}
