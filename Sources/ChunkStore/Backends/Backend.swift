// SPDX-License-Identifier: Apache-2.0

public import Base

/// The name of an object in a backend: what it is, and the SHA-256 of its bytes.
///
/// So no name can lead out of the place where objects of its kind lie.
public struct ObjectName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        case pack = "packs"
        case blockMap = "maps"
    }

    public let kind: Kind
    public let digest: Digest

    public init(_ kind: Kind, _ digest: Digest) {
        self.kind = kind
        self.digest = digest
    }

    /// `packs/` or `maps/` and 64 hexadecimal digits.
    public var description: String { kind.rawValue + "/" + digest.hex }

    public static func < (left: ObjectName, right: ObjectName) -> Bool {
        (left.kind.rawValue, left.digest) < (right.kind.rawValue, right.digest)
    }
}

/// Where packs and block maps live: immutable objects, named by their content.
public protocol Backend: Sendable {
    /// Bytes in the object; nil when there is none of this name.
    func size(of name: ObjectName) throws(ChunkStoreError) -> UInt64?

    /// Reads exactly so many bytes of an object.
    func read(_ name: ObjectName, at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8]

    /// Stores the bytes of a file under their name. Others see the whole object or none; when the call
    /// returns it survives a power cut. An object that is there already is left as it is.
    func put(_ name: ObjectName, contentsOf file: File) throws(ChunkStoreError)

    /// All objects of a kind, sorted.
    func list(_ kind: ObjectName.Kind) throws(ChunkStoreError) -> [ObjectName]

    /// Removes an object; that it is already gone is no error.
    func delete(_ name: ObjectName) throws(ChunkStoreError)
}

extension Backend {
    public func exists(_ name: ObjectName) throws(ChunkStoreError) -> Bool {
        try size(of: name) != nil
    }

    /// The object as a source of bytes, for `PackReader`.
    public func source(_ name: ObjectName) throws(ChunkStoreError) -> any ByteSource {
        guard let size = try size(of: name) else {
            throw .badObject(name: "\(name)", reason: "there is none")
        }
        return BackendObject(backend: self, name: name, sizeBytes: size)
    }
}

/// One object of a backend.
private struct BackendObject: ByteSource {
    let backend: any Backend
    let name: ObjectName
    let sizeBytes: UInt64

    func read(at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8] {
        try backend.read(name, at: offset, count: count)
    }
}
