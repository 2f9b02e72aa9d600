// SPDX-License-Identifier: Apache-2.0

public import Base
import Glibc
public import OCI

/// A layer that was written: what a manifest and a configuration say of it.
public struct ExportedLayer: Sendable, Equatable {
    public let mediaType: String
    /// Of the bytes as they are packed.
    public let digest: Digest
    /// Bytes as they are packed.
    public let sizeBytes: UInt64
    /// Of the plain tar.
    public let diffID: Digest
    /// Bytes of the plain tar.
    public let plainBytes: UInt64
    /// Files, directories and links; 0 with no removal means that nothing changed.
    public let entryCount: UInt64
    /// Whiteouts, those of whole directories among them.
    public let removalCount: UInt64
    /// Sockets, which no layer can hold, and which are left out.
    public let skippedSockets: UInt64

    public var isEmpty: Bool { entryCount == 0 && removalCount == 0 }
}

/// Writes what one file system has and another has not as a layer of the OCI image specification.
///
/// The layer on top of the base shows the tree, whichever engine unpacks it. Equal trees give equal bytes.
/// `docs/flatten.md` has the rules.
public enum LayerExport {
    public struct Options: Sendable, Equatable {
        /// gzip is what every engine reads.
        public var compression: LayerCompression
        /// Of zlib 1 to 9, of zstd 1 to 19.
        public var level: Int32
        /// The tree was made by writing to the base's file system and nothing else.
        ///
        /// Then changed blocks alone tell what changed, and what did not is not looked at.
        public var isDescendant: Bool
        /// Holes of files are left out, in the form of GNU tar; otherwise they are zeros, which every engine reads.
        public var keepsHoles: Bool

        public init(
            compression: LayerCompression = .gzip, level: Int32? = nil, isDescendant: Bool = false,
            keepsHoles: Bool = false
        ) {
            self.compression = compression
            self.level = level ?? (compression == .zstd ? 3 : 6)
            self.isDescendant = isDescendant
            self.keepsHoles = keepsHoles
        }
    }

    /// Writes the layer to `file`, from its start, on the calling thread.
    ///
    /// Memory grows with the number of changed entries, and in a tree without a base with all of them.
    /// - Parameters:
    ///   - base: nil writes the whole tree.
    ///   - progress: plain bytes so far; called after each entry and each MiB.
    ///   - isCancelled: asked as often; the export then throws `.cancelled`.
    public static func run(
        base: ExportTree?, top: ExportTree, options: Options = Options(), to file: File,
        progress: @escaping (UInt64) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false }
    ) throws(FlattenError) -> ExportedLayer {
        let plan = try ExportPlan.make(
            base: base, top: top, isDescendant: options.isDescendant, isCancelled: isCancelled)
        let packer = try LayerPacker(options.compression, level: options.level, to: file)
        var writer = LayerWriter(plan, top, packer, keepsHoles: options.keepsHoles) {
            () throws(FlattenError) in
            if isCancelled() { throw .cancelled }
            progress(packer.plainBytes)
        }
        try writer.write()
        let packed = try packer.finish()
        return ExportedLayer(
            mediaType: mediaType(options.compression), digest: packed.digest, sizeBytes: packed.sizeBytes,
            diffID: packed.diffID, plainBytes: packer.plainBytes, entryCount: writer.entryCount,
            removalCount: writer.removalCount, skippedSockets: plan.skippedSockets)
    }

    /// The media type of a layer (OCI image specification, layer.md).
    public static func mediaType(_ compression: LayerCompression) -> String {
        let suffix =
            switch compression {
            case .none: ""
            case .gzip: "+gzip"
            case .zstd: "+zstd"
            }
        return "application/vnd.oci.image.layer.v1.tar" + suffix
    }
}
