// SPDX-License-Identifier: Apache-2.0

import HTTP

/// The bytes of a named object as they were at one moment.
public struct NamedObject: Sendable, Equatable {
    public let bytes: [UInt8]
    /// Stands for these bytes in `WriteCondition.matches`; only the store that made it understands it.
    public let etag: String

    public init(bytes: [UInt8], etag: String) {
        self.bytes = bytes
        self.etag = etag
    }
}

/// What must hold for a named object to be written.
public enum WriteCondition: Sendable, Equatable {
    case always
    /// There is no object of this name.
    case absent
    /// The object is still the one that was read.
    case matches(String)
}

/// Small objects that change, by name: which image a name means, for backends that are no registry.
///
/// A name is any text of at most `NamedObjectKey.maximumBytes` bytes once it is encoded.
public protocol NamedObjects: Sendable {
    /// nil when there is none of this name.
    func readName(_ name: String) throws(ChunkStoreError) -> NamedObject?

    /// Replaces the object as a whole: readers see the old or the new one.
    /// - Returns: false when the condition does not hold; nothing is changed then.
    func writeName(
        _ name: String, bytes: [UInt8], if condition: WriteCondition
    ) throws(ChunkStoreError) -> Bool

    /// All names, sorted.
    func listNames() throws(ChunkStoreError) -> [String]

    /// Removes the object; that it is already gone is no error.
    func deleteName(_ name: String) throws(ChunkStoreError)
}

/// How names of named objects are written as names of files and keys.
public enum NamedObjectKey {
    public static let maximumBytes = 240
    /// Where they lie, next to packs and maps.
    public static let directory = "names"
    private static let suffix = ".json"
    /// Bounds what is read into memory.
    static let maximumObjectBytes = 16 << 20

    /// `names/` and the name, of which all but letters, digits and `-._~` is escaped.
    static func path(_ name: String) throws(ChunkStoreError) -> String {
        let encoded = percentEncoded(name)
        if name.isEmpty || encoded.utf8.count > maximumBytes {
            throw .badObject(
                name: name, reason: "a name has 1 to \(maximumBytes) bytes, counting 3 for special characters"
            )
        }
        return directory + "/" + encoded + suffix
    }

    /// The name behind the last part of such a path; nil for other files.
    static func name(ofFile file: some StringProtocol) -> String? {
        guard file.hasSuffix(suffix) else { return nil }
        let encoded = file.dropLast(suffix.utf8.count)
        guard let name = percentDecoded(encoded), percentEncoded(name) == encoded else { return nil }
        return name
    }
}
