// SPDX-License-Identifier: Apache-2.0

import Ext4

/// Names of entries and of hard links' targets, cut at slashes and checked.
enum EntryPath {
    private static let limitBytes = 4096
    private static let slash = UInt8(ascii: "/")
    private static let dot = [UInt8(ascii: ".")]
    private static let dotDot = [UInt8(ascii: "."), UInt8(ascii: ".")]

    /// The components from the root on, without `.` and `..`; empty for the root itself.
    ///
    /// `..` takes back the component before it; one that would leave the tree is refused, and so is a leading
    /// slash: such a name was not made by a tool that packs layers.
    static func components(_ name: [UInt8]) throws(BadField) -> [[UInt8]] {
        if name.isEmpty { throw BadField("it has an empty name") }
        if name[0] == slash { throw BadField("absolute names are refused") }
        if name.count > limitBytes { throw BadField("its name is longer than \(limitBytes) bytes") }
        var result: [[UInt8]] = []
        for part in name.split(separator: slash) where part != dot[...] {
            if part == dotDot[...] {
                if result.popLast() == nil { throw BadField("its name leaves the tree with '..'") }
                continue
            }
            if part.count > FileTree.maximumNameBytes {
                throw BadField("a part of its name is longer than \(FileTree.maximumNameBytes) bytes")
            }
            result.append(Array(part))
        }
        return result
    }

    /// The components of a symbolic link's target, `..` among them: it is followed inside the tree only.
    static func targetComponents(_ target: ArraySlice<UInt8>) -> [[UInt8]] {
        target.split(separator: slash).map(Array.init).filter { $0 != dot }
    }

    static func isParent(_ component: [UInt8]) -> Bool { component == dotDot }
}

/// What a name of the layer format's own (OCI image specification, layer.md, "Whiteouts") asks for.
enum Whiteout: Equatable {
    case none
    /// Everything that lower layers have in this directory is hidden.
    case opaque
    /// What lower layers have under this name is hidden.
    case name([UInt8])
    /// Left by old tools; it means nothing any more.
    case ignored

    private static let prefix = Array(".wh.".utf8)
    private static let reserved = Array(".wh..wh.".utf8)
    private static let opaqueName = Array(".wh..wh..opq".utf8)

    init(_ components: [[UInt8]]) throws(BadField) {
        for parent in components.dropLast() where parent.starts(with: Self.prefix) {
            if !parent.starts(with: Self.reserved) { throw BadField("it lies below a whiteout") }
            self = .ignored
            return
        }
        guard let last = components.last, last.starts(with: Self.prefix) else {
            self = .none
            return
        }
        if last == Self.opaqueName {
            self = .opaque
        } else if last.starts(with: Self.reserved) {
            self = .ignored
        } else {
            let name = Array(last.dropFirst(Self.prefix.count))
            if !FileTree.isValidName(name) { throw BadField("it is a whiteout of no valid name") }
            self = .name(name)
        }
    }
}
