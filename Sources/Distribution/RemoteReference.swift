// SPDX-License-Identifier: Apache-2.0

public import OCI

/// Where an image is pushed to or pulled from: a registry's repository, or a name in a place with objects.
public enum RemoteReference: Hashable, Sendable, CustomStringConvertible {
    /// `HOST/REPOSITORY[:TAG][@DIGEST]`, completed as Docker does.
    case registry(Reference)
    /// `s3://BUCKET/PREFIX[?…]#NAME`, `dir:PATH#NAME`, `http(s)://HOST/PATH/#NAME`.
    /// - place: the part before `#`, which is also the URI of the source that its packs come from.
    case objects(place: String, name: String)

    private static let schemes = ["s3://", "dir:", "http://", "https://"]
    private static let lengthLimit = 2048
    private static let nameLimit = 255

    /// Errors: `.badReference`.
    public init(parsing text: String) throws(DistributionError) {
        guard let scheme = Self.schemes.first(where: text.hasPrefix) else {
            do throws(OCIError) {
                self = .registry(try Reference(parsing: text))
            } catch {
                throw .registry(error)
            }
            return
        }
        guard let hash = text.lastIndex(of: "#"), text.index(after: hash) < text.endIndex else {
            throw .badReference(text, reason: "the image's name is missing; add #NAME")
        }
        let place = String(text[..<hash])
        let name = String(text[text.index(after: hash)...])
        try Self.check(place: place, scheme, text)
        try Self.check(name: name, text)
        self = .objects(place: place, name: name)
    }

    private static func check(
        place: String, _ scheme: String, _ text: String
    ) throws(DistributionError) {
        let rest = place.dropFirst(scheme.count)
        if rest.isEmpty || place.utf8.count > lengthLimit
            || place.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F })
        {
            throw .badReference(text, reason: "the place before # is empty, too long, or has blanks in it")
        }
        if scheme == "dir:" {
            if !rest.hasPrefix("/") {
                throw .badReference(text, reason: "the directory must be an absolute path")
            }
            return
        }
        if rest.prefix(while: { $0 != "/" && $0 != "?" }).contains("@") {
            throw .badReference(text, reason: "credentials do not belong in it; configure them")
        }
    }

    /// A name becomes part of an object's name: components of harmless characters, none of them `.` or `..`.
    private static func check(name: String, _ text: String) throws(DistributionError) {
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "._-:/".utf8.contains(byte)
            }
        }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        if !allowed || name.utf8.count > nameLimit
            || parts.contains(where: { $0.isEmpty || $0.hasPrefix(".") })
        {
            throw .badReference(
                text, reason: "an image's name has letters, digits and . _ - : only, with / between parts")
        }
    }

    /// The URI of the source that packs of this image come from; `SourceFactory` makes one of it.
    public var sourceURI: String {
        switch self {
        case .registry(let reference): "registry:\(reference.registry)/\(reference.repository)"
        case .objects(let place, _): place
        }
    }

    /// What a policy names: `HOST/REPOSITORY` of a registry, the URI of another place.
    public var origin: String {
        switch self {
        case .registry(let reference): "\(reference.registry)/\(reference.repository)"
        case .objects(let place, _): place
        }
    }

    public var description: String {
        switch self {
        case .registry(let reference): reference.description
        case .objects(let place, let name): place + "#" + name
        }
    }
}
