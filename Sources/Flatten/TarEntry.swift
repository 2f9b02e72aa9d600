// SPDX-License-Identifier: Apache-2.0

import Ext4

/// One entry of a layer's tar, checked for ranges but not yet placed in a tree.
struct TarEntry {
    enum Kind: Equatable {
        case file(sizeBytes: UInt64)
        case directory
        case symlink(target: [UInt8])
        case hardLink(target: [UInt8])
        case device(FileKind, major: UInt32, minor: UInt32)
        case fifo
        case socket
    }

    /// As it stands in the tar.
    let name: [UInt8]
    let kind: Kind
    let attributes: FileTree.Attributes
    /// Position among the entries of its layer, from 0.
    let ordinal: UInt32
}

/// Bytes of a file that lie together, inside a call only.
struct DataPiece {
    let offset: UInt64
    let bytes: UnsafeRawBufferPointer
}
