// SPDX-License-Identifier: Apache-2.0

public import Base
public import ChunkStore
public import OCI

/// Why the layers of an image could not become one file system.
///
/// Every text names the layer or the entry.
public enum FlattenError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The image itself could not be read.
    case image(OCIError)
    /// The packed bytes of a layer end early or are damaged.
    case damagedLayer(String, reason: String)
    case sizeMismatch(String, expected: UInt64, actual: UInt64)
    case digestMismatch(String, what: String, actual: Digest)
    /// The plain bytes of a layer are not a tar file that we can read.
    case badTar(String, after: String, reason: String)
    /// An entry of a layer that is not taken; `entry` is printable.
    case badEntry(layer: String, entry: String, reason: String)
    case limit(String, reason: String)
    case store(ChunkStoreError)
    /// The merged tree could not be formatted.
    case format(String)
    /// The file system of an image, volume or base cannot be read; the reason says what to do.
    case tree(String, reason: String)
    /// A file that a layer cannot hold; the path is printable.
    case unexportable(path: String, reason: String)
    case system(SystemError)
    case cancelled

    public var description: String {
        switch self {
        case .image(let error): error.description
        case .damagedLayer(let layer, let reason): "layer \(layer): \(reason); the image is damaged"
        case .sizeMismatch(let layer, let expected, let actual):
            "layer \(layer): has \(actual) bytes where \(expected) are announced; the image is damaged"
        case .digestMismatch(let layer, let what, let actual):
            "layer \(layer): the \(what) of its bytes is \(actual); the image is damaged"
        case .badTar(let layer, let entry, let reason):
            "layer \(layer): not a readable tar file\(entry.isEmpty ? "" : " after " + entry): \(reason)"
        case .badEntry(let layer, let entry, let reason): "layer \(layer): \(entry): \(reason)"
        case .limit(let what, let reason): "\(what): \(reason)"
        case .store(let error): error.description
        case .format(let reason): "cannot lay out the file system: \(reason)"
        case .tree(let name, let reason): "\(name): its files cannot be read: \(reason)"
        case .unexportable(let path, let reason): "\(path): cannot become part of a layer: \(reason)"
        case .system(let error): error.description
        case .cancelled: "cancelled"
        }
    }
}

/// Bytes of a name or path, made safe for a terminal and bounded in length.
func printable(_ bytes: some Collection<UInt8>) -> String {
    var text = ""
    for scalar in String(decoding: bytes.prefix(300), as: UTF8.self).unicodeScalars {
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        if isControl { text += scalar.escaped(asASCII: true) } else { text.unicodeScalars.append(scalar) }
    }
    return bytes.count > 300 ? text + "…" : text
}
