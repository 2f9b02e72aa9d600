// SPDX-License-Identifier: Apache-2.0

/// Why a tree cannot become an ext4 file system, or why bytes are not one.
public enum Ext4Error: Error, Equatable, Sendable, CustomStringConvertible {
    /// The tree needs more than the volume has.
    case doesNotFit(neededBytes: UInt64, sizeBytes: UInt64)
    /// Options that no file system can have.
    case invalidOptions(String)
    /// A file that ext4 cannot hold.
    ///
    /// The path is escaped for a terminal.
    case unsupportedFile(path: String, reason: String)
    /// A block of a read file system is damaged or hostile.
    case damaged(String)
    /// A read file system uses what this reader does not know.
    case unsupportedFeature(String)
    /// The journal holds changes that are not in place yet.
    case needsRecovery
    /// A path that is not there.
    case notFound(path: String)

    public var description: String {
        switch self {
        case .doesNotFit(let needed, let size):
            "the files need \(needed) bytes but the volume has \(size); choose a larger size"
        case .invalidOptions(let what): "cannot format: \(what)"
        case .unsupportedFile(let path, let reason): "ext4 cannot hold \(path): \(reason)"
        case .damaged(let what): "ext4 file system is damaged: \(what); run e2fsck on it"
        case .unsupportedFeature(let what): "ext4 file system uses \(what), which this reader does not know"
        case .needsRecovery: "ext4 journal is not replayed; mount the file system once, or run e2fsck on it"
        case .notFound(let path): "no file \(path) in the file system"
        }
    }

    /// Bytes of a name or path as text that is safe on a terminal.
    static func printable(_ bytes: some Sequence<UInt8>) -> String {
        var text = "/"
        for byte in bytes {
            if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16)
                text += digits.count == 1 ? "\\x0" + digits : "\\x" + digits
            }
        }
        return text
    }
}
