// SPDX-License-Identifier: Apache-2.0

/// What an image is exported as, and where to.
public enum ExportTarget: Sendable, Equatable, CustomStringConvertible {
    /// An OCI image layout in a directory.
    case layout(directory: String, tag: String)
    /// The same in one plain tar file.
    case layoutArchive(path: String, tag: String)
    /// The root file system as a tar: plain, or packed as the end of the file's name says.
    case rootFileSystem(path: String)
    /// The block file itself: a sparse raw image of an ext4 file system.
    case ext4(path: String)
    /// That, as a disk image of QEMU.
    case qcow2(path: String)

    public static let defaultTag = "latest"

    /// Reads `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `rootfs:FILE`, `ext4:FILE` or `qcow2:FILE`.
    ///
    /// A tag holds no slash, so that a path may hold colons before its last one.
    public static func parse(_ text: String) throws(DistributionError) -> ExportTarget {
        guard let colon = text.firstIndex(of: ":") else {
            throw .badExport(
                text, reason: "it has no scheme; use oci:, oci-archive:, rootfs:, ext4: or qcow2:")
        }
        let rest = String(text[text.index(after: colon)...])
        if rest.utf8.contains(0) { throw .badExport(text, reason: "its path holds a NUL") }
        let (path, tag) = try split(rest, text)
        switch text[..<colon] {
        case "oci": return .layout(directory: path, tag: tag)
        case "oci-archive": return .layoutArchive(path: path, tag: tag)
        case "rootfs": return .rootFileSystem(path: try nonEmpty(rest, text))
        case "ext4": return .ext4(path: try nonEmpty(rest, text))
        case "qcow2": return .qcow2(path: try nonEmpty(rest, text))
        default:
            throw .badExport(
                text, reason: "its scheme is not known; use oci:, oci-archive:, rootfs:, ext4: or qcow2:")
        }
    }

    private static func split(
        _ rest: String, _ text: String
    ) throws(DistributionError) -> (path: String, tag: String) {
        guard let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") else {
            return (try nonEmpty(rest, text), defaultTag)
        }
        let tag = String(rest[rest.index(after: colon)...])
        if tag.isEmpty { throw .badExport(text, reason: "the tag is empty") }
        return (try nonEmpty(String(rest[..<colon]), text), tag)
    }

    private static func nonEmpty(_ path: String, _ text: String) throws(DistributionError) -> String {
        if path.isEmpty { throw .badExport(text, reason: "it has no path") }
        return path
    }

    /// The directory or file that is written.
    public var path: String {
        switch self {
        case .layout(let path, _), .layoutArchive(let path, _), .rootFileSystem(let path), .ext4(let path),
            .qcow2(let path):
            path
        }
    }

    /// The text that `parse` reads.
    public var description: String {
        switch self {
        case .layout(let directory, let tag): "oci:\(directory):\(tag)"
        case .layoutArchive(let path, let tag): "oci-archive:\(path):\(tag)"
        case .rootFileSystem(let path): "rootfs:\(path)"
        case .ext4(let path): "ext4:\(path)"
        case .qcow2(let path): "qcow2:\(path)"
        }
    }
}
