// SPDX-License-Identifier: Apache-2.0

/// Media types of block images as artifacts of an OCI registry.
public enum BlockImage {
    /// `artifactType` of the manifest that describes a block image.
    public static let artifactType = "application/vnd.slacker.image.v1"
    /// A block map, or the difference of one to another, with the places of its chunks; one zstd frame.
    public static let mapMediaType = "application/vnd.slacker.map.v1+zstd"
    /// A pack of chunks.
    public static let packMediaType = "application/vnd.slacker.pack.v1"
}
