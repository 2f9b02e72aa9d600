// SPDX-License-Identifier: Apache-2.0

public import Base

/// Why an image could not be found, read or believed.
public enum OCIError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text after `SCHEME:` or the scheme itself is not one that we know.
    case badSource(String, reason: String)
    case badReference(String, reason: String)
    case badDigest(String, reason: String)
    case badPlatform(String)
    /// A file of the layout or archive that must be there is not.
    case missing(String, in: String)
    case badArchive(String, reason: String)
    case badDocument(String, reason: String)
    case unknownMediaType(String, of: String)
    /// A layer whose bytes are meant to be fetched from a place that the manifest names.
    case foreignLayer(String)
    case sizeMismatch(String, expected: UInt64, actual: UInt64)
    case digestMismatch(String, actual: String)
    case noSuchTag(String, in: String, available: [String])
    case ambiguous(String, available: [String])
    case noSuchPlatform(String, available: [String])
    case limit(String, reason: String)
    case system(SystemError)
    /// A registry wants other credentials, or these may not do what was asked for.
    case denied(String, reason: String)
    /// A registry does not have the object.
    case notFound(String, in: String)
    /// No answer, or none that helps, after all attempts: the network, or a registry in trouble.
    case unavailable(String, reason: String)
    /// A registry will not do what was asked for, and would not if it were asked again.
    case refused(String, status: Int, reason: String)
    /// A registry's answer breaks the protocol.
    case badAnswer(String, reason: String)
    /// A file that says how to reach registries cannot be understood.
    case badConfiguration(String, reason: String)
    /// The caller wanted no more.
    case stopped(String)

    public var description: String {
        switch self {
        case .badSource(let text, let reason):
            "\(printable(text)): not an image source: \(reason); use oci:DIR, oci-archive:FILE, "
                + "docker-archive:FILE or rootfs:FILE"
        case .badReference(let text, let reason): "\(printable(text)): not an image reference: \(reason)"
        case .badDigest(let text, let reason): "\(printable(text)): not a content digest: \(reason)"
        case .badPlatform(let text):
            "\(printable(text)): not a platform; write it as linux/amd64 or linux/arm/v7"
        case .missing(let name, let place): "\(place): it has no \(printable(name)); the image is incomplete"
        case .badArchive(let path, let reason): "\(path): cannot be read as an archive: \(reason)"
        case .badDocument(let name, let reason): "\(printable(name)): \(reason)"
        case .unknownMediaType(let type, let name):
            "\(printable(name)): unknown media type \(printable(type))"
        case .foreignLayer(let name):
            "\(name): a foreign layer, whose bytes are not part of the image; such layers are not followed"
        case .sizeMismatch(let name, let expected, let actual):
            "\(name): has \(actual) bytes where \(expected) are announced; the image is damaged"
        case .digestMismatch(let name, let actual):
            "\(name): its bytes have digest \(actual); the image is damaged"
        case .noSuchTag(let tag, let place, let available):
            "\(place): no image is tagged \(printable(tag)); there are: \(list(available))"
        case .ambiguous(let place, let available):
            "\(place): holds several images; add :TAG, one of: \(list(available))"
        case .noSuchPlatform(let platform, let available):
            "the image has no variant for \(platform); there are: \(list(available))"
        case .limit(let name, let reason): "\(printable(name)): \(reason)"
        case .system(let error): error.description
        case .denied(let name, let reason): "\(printable(name)): access denied: \(reason)"
        case .notFound(let name, let place):
            "\(place): it has no \(printable(name)); check the name, or push it first"
        case .unavailable(let name, let reason): "\(printable(name)): \(reason)"
        case .refused(let name, let status, let reason):
            "\(printable(name)): refused with status \(status): \(reason)"
        case .badAnswer(let name, let reason):
            "\(printable(name)): the answer breaks the registry protocol: \(reason)"
        case .badConfiguration(let path, let reason): "\(path): \(reason)"
        case .stopped(let name): "\(printable(name)): stopped"
        }
    }

    private func list(_ names: [String]) -> String {
        names.isEmpty ? "none" : names.prefix(20).map(printable).joined(separator: ", ")
    }
}

/// Text of an image, made safe for a terminal: control characters are escaped and the length is bounded.
public func printable(_ text: some StringProtocol) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(256) {
        let control = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        if control { result += scalar.escaped(asASCII: true) } else { result.unicodeScalars.append(scalar) }
    }
    return text.unicodeScalars.count > 256 ? result + "…" : result
}
