// SPDX-License-Identifier: Apache-2.0

/// What an image may cost before it is refused.
///
/// Zeros become holes, which cost no space; what they cost is time, which the limits on the ratio and on the
/// total bound.
public struct ImportLimits: Sendable, Equatable {
    /// Plain bytes of all layers together, and likewise the sum of all file lengths.
    public var totalBytes: UInt64
    /// Entries of all layers together.
    public var entryCount: UInt64
    /// Layers of the image.
    public var layerCount: Int
    /// Plain bytes of a layer for each packed one; 0 for no limit.
    public var ratio: UInt64
    /// Plain bytes that a layer may have whatever their ratio.
    public var ratioFreeBytes: UInt64

    public init(
        totalBytes: UInt64 = 1 << 40, entryCount: UInt64 = 16 << 20, layerCount: Int = 500,
        ratio: UInt64 = 500, ratioFreeBytes: UInt64 = 1 << 30
    ) {
        self.totalBytes = totalBytes
        self.entryCount = entryCount
        self.layerCount = layerCount
        self.ratio = ratio
        self.ratioFreeBytes = ratioFreeBytes
    }

    /// Whether a layer has come out so much larger than it came in that it is taken for a bomb.
    func isBomb(plainBytes: UInt64, packedBytes: UInt64) -> Bool {
        guard ratio > 0, plainBytes > ratioFreeBytes else { return false }
        return plainBytes / ratio > packedBytes
    }
}

/// How far an import is, in bytes of packed layers.
public struct ImportProgress: Sendable, Equatable {
    public var doneBytes: UInt64
    public var totalBytes: UInt64
    /// Counted from 1, in the order in which layers are read.
    public var layer: Int
    public var layerCount: Int
}

/// What an import did.
public struct ImportCounters: Sendable, Equatable {
    /// Entries in all layers.
    public var entries: UInt64 = 0
    /// Files, directories and other inodes in the merged tree.
    public var inodes: UInt64 = 0
    /// Packed bytes that were read.
    public var packedBytes: UInt64 = 0
    /// Plain bytes of the layers.
    public var plainBytes: UInt64 = 0
    /// Bytes of file data handed to the store; holes of sparse files are not among them.
    public var fileBytes: UInt64 = 0
    /// Bytes of file data that an upper layer hides and that were not stored.
    public var shadowedBytes: UInt64 = 0
    /// Layers that were read twice, for a hard link to a name that is hidden.
    public var rereadLayers: UInt64 = 0

    public init() {}
}
