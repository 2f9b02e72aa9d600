// SPDX-License-Identifier: Apache-2.0

public import Base
import Glibc

/// Writes an OCI image layout (image-layout.md of the specification) into a directory.
///
/// A layout that is there already gets the image besides its others; one of the same tag is replaced. The index is
/// written last and in one step, so who reads the layout meanwhile sees the old state or the new one.
public struct LayoutWriter {
    private let directory: String
    private static let nameKey = "org.opencontainers.image.ref.name"
    /// Bytes of the largest index that is read back.
    private static let indexLimitBytes = 4 << 20

    /// Makes the directory where there is none.
    /// - Throws: `.badDocument` for a directory that holds something else, `.system`.
    public init(directory: String) throws(OCIError) {
        self.directory = directory
        let isForeign: Bool
        do throws(SystemError) {
            let isLayout = Directories.exists(directory + "/oci-layout")
            let names = Directories.isDirectory(directory) ? try Directories.names(in: directory) : []
            isForeign = !isLayout && !names.isEmpty
            if !isForeign { try Directories.create(directory + "/blobs/sha256", mode: 0o755) }
        } catch {
            throw .system(error)
        }
        if isForeign { throw .badSource(directory, reason: "it is neither empty nor an image layout") }
    }

    /// A new file beside the blobs, for one whose digest is not known yet; `add` gives it its name.
    public func makeBlob() throws(OCIError) -> File {
        let path = directory + "/blobs/.new-" + String(UInt64.random(in: 0 ... .max), radix: 36)
        do throws(SystemError) { return try File(open: path, O_RDWR | O_CREAT | O_EXCL, mode: 0o644) } catch {
            throw .system(error)
        }
    }

    /// Takes a file of `makeBlob` as the blob of this digest; it is on the disk when this returns.
    public func add(_ blob: File, as digest: Digest) throws(OCIError) {
        do throws(SystemError) {
            try blob.synchronizeData()
            if rename(blob.path, path(of: digest)) < 0 { throw SystemError.last("rename", blob.path) }
        } catch {
            throw .system(error)
        }
    }

    public func add(_ bytes: [UInt8]) throws(OCIError) {
        do throws(SystemError) {
            try Directories.replaceFile(path(of: Digest(hashing: bytes)), with: bytes, mode: 0o644)
        } catch {
            throw .system(error)
        }
    }

    /// Enters the manifest, which has been added, under a tag.
    public func finish(_ manifest: Descriptor, tag: String) throws(OCIError) {
        var annotations = manifest.annotations
        annotations[Self.nameKey] = tag
        let named = Descriptor(
            mediaType: manifest.mediaType, digest: manifest.digest, sizeBytes: manifest.sizeBytes,
            platform: manifest.platform, annotations: annotations)
        let others = try entries().filter { $0.annotations[Self.nameKey] != tag }
        let index = try ManifestWriter.index(others + [named])
        do throws(SystemError) {
            let version = Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)
            try Directories.replaceFile(directory + "/oci-layout", with: version, mode: 0o644)
            try Directories.replaceFile(directory + "/index.json", with: index, mode: 0o644)
        } catch {
            throw .system(error)
        }
    }

    private func path(of digest: Digest) -> String { directory + "/blobs/sha256/" + digest.hex }

    private func entries() throws(OCIError) -> [Descriptor] {
        let path = directory + "/index.json"
        guard Directories.exists(path) else { return [] }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File(open: path, O_RDONLY).read(count: Self.indexLimitBytes, at: 0)
        } catch {
            throw .system(error)
        }
        guard case .index(let all) = try ManifestDocument(parsing: bytes, mediaType: nil, name: path) else {
            throw .badDocument(path, reason: "it is not an index")
        }
        return all
    }
}
