// SPDX-License-Identifier: Apache-2.0

public import Base

/// The name of an image as Docker and containerd write it, completed: `registry/repository[:tag][@digest]`.
///
/// Grammar after the "distribution reference" documents: a first component with a dot, a colon or the word
/// `localhost` is the registry; without one the image is Docker Hub's, and there a single component gets `library/`.
public struct Reference: Hashable, Sendable, CustomStringConvertible {
    /// Host and, where there is one, port.
    public let registry: String
    /// Components with slashes between, lower case.
    public let repository: String
    /// `latest` where the text has neither tag nor digest.
    public let tag: String?
    public let digest: Digest?

    /// The registry of names that have none.
    public static let defaultRegistry = "docker.io"
    private static let lengthLimit = 255

    public init(parsing text: String) throws(OCIError) {
        var rest = text[...]
        var digest: Digest?
        if let at = rest.lastIndex(of: "@") {
            digest = try Digest(contentDigest: String(rest[rest.index(after: at)...]))
            rest = rest[..<at]
        }
        var tag: String?
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        var components = rest.split(separator: "/", omittingEmptySubsequences: false)
        var registry = Self.defaultRegistry
        if components.count > 1, let first = components.first, Self.isRegistry(first) {
            registry = String(components.removeFirst())
        }
        if registry == "index.docker.io" { registry = Self.defaultRegistry }
        if registry == Self.defaultRegistry, components.count == 1 { components.insert("library", at: 0) }
        self.registry = registry
        self.repository = components.joined(separator: "/")
        self.tag = tag ?? (digest == nil ? "latest" : nil)
        self.digest = digest
        try validate(text)
    }

    public var description: String {
        registry + "/" + repository + (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// Which manifest of a repository is meant.
    public enum Selector: Hashable, Sendable, CustomStringConvertible {
        case tag(String)
        case digest(Digest)

        /// As it stands in an address.
        public var description: String {
            switch self {
            case .tag(let tag): tag
            case .digest(let digest): "\(digest)"
            }
        }
    }

    /// The digest where there is one, since it cannot move; else the tag.
    public var selector: Selector { digest.map { .digest($0) } ?? .tag(tag ?? "latest") }

    /// A repository's name alone.
    /// - Parameter repository: as it stands in addresses: components with slashes between.
    public init(registry: String, repository: String) throws(OCIError) {
        try self.init(parsing: registry + "/" + repository)
    }

    private static func isRegistry(_ component: Substring) -> Bool {
        component.contains(".") || component.contains(":") || component == "localhost"
    }

    private func validate(_ text: String) throws(OCIError) {
        let hostBytes = registry.utf8.allSatisfy {
            isLetterOrDigit($0, upper: true) || ".-:[]".utf8.contains($0)
        }
        let startsWell = registry.utf8.first.map {
            isLetterOrDigit($0, upper: true) || $0 == UInt8(ascii: "[")
        }
        if !hostBytes || startsWell != true {
            throw .badReference(text, reason: "the registry's name is invalid")
        }
        if repository.utf8.count + registry.utf8.count + 1 > Self.lengthLimit {
            throw .badReference(text, reason: "it is longer than \(Self.lengthLimit) bytes")
        }
        for component in repository.split(separator: "/", omittingEmptySubsequences: false) {
            try validate(component: component, text)
        }
        if let tag { try Self.validate(tag: tag, text) }
    }

    /// Refuses what cannot be a tag; it becomes part of an address.
    static func validate(tag: String, _ text: String) throws(OCIError) {
        let valid = tag.utf8.allSatisfy { isLetterOrDigit($0, upper: true) || "._-".utf8.contains($0) }
        if !valid || tag.isEmpty || tag.utf8.count > 128 || tag.hasPrefix(".") || tag.hasPrefix("-") {
            throw .badReference(text, reason: "the tag is invalid")
        }
    }

    private func validate(component: Substring, _ text: String) throws(OCIError) {
        guard let first = component.utf8.first, let last = component.utf8.last else {
            throw .badReference(text, reason: "a part of the name is empty")
        }
        let valid = component.utf8.allSatisfy { isLetterOrDigit($0, upper: false) || "._-".utf8.contains($0) }
        if !valid {
            throw .badReference(text, reason: "names have lower-case letters, digits, '.', '_' and '-' only")
        }
        if !isLetterOrDigit(first, upper: false) || !isLetterOrDigit(last, upper: false)
            || component.contains("..")
        {
            throw .badReference(text, reason: "a separator stands where a letter or digit must")
        }
    }
}

func isLetterOrDigit(_ byte: UInt8, upper: Bool) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): upper
    default: false
    }
}

extension Digest {
    /// Reads `sha256:` and 64 lower-case digits, and nothing else: a digest may become part of a path.
    public init(contentDigest text: String) throws(OCIError) {
        guard let colon = text.firstIndex(of: ":") else {
            throw .badDigest(text, reason: "it has no algorithm")
        }
        if text[..<colon] != "sha256" { throw .badDigest(text, reason: "its algorithm is not sha256") }
        guard let digest = Digest(hex: text[text.index(after: colon)...]) else {
            throw .badDigest(text, reason: "sha256: is followed by 64 lower-case hexadecimal digits")
        }
        self = digest
    }
}
