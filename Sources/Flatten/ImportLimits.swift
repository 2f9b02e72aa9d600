// SPDX-License-Identifier: Apache-2.0

/// What an image may cost before it is refused.
///
/// There is no limit on the ratio of plain to packed bytes: zeros become holes, which cost no space, and the
/// limit on the total bounds the time.
public struct ImportLimits: Sendable, Equatable {
    /// Plain bytes of all layers together, and likewise the sum of all file lengths.
    public var totalBytes: UInt64
    /// Entries of all layers together.
    public var entryCount: UInt64
    /// Layers of the image.
    public var layerCount: Int

    public init(totalBytes: UInt64 = 1 << 40, entryCount: UInt64 = 16 << 20, layerCount: Int = 500) {
        self.totalBytes = totalBytes
        self.entryCount = entryCount
        self.layerCount = layerCount
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
