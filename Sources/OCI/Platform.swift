// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The operating system and processor that an image is for, in Go's names, which OCI documents use.
public struct Platform: Hashable, Sendable, CustomStringConvertible {
    public let os: String
    public let architecture: String
    /// Of ARM processors: v6, v7, v8.
    public let variant: String?

    public init(os: String, architecture: String, variant: String? = nil) {
        self.os = os
        self.architecture = architecture
        self.variant = variant?.isEmpty == true ? nil : variant
    }

    /// Reads `os/architecture[/variant]`.
    public init(parsing text: String) throws(OCIError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if !(2...3).contains(parts.count) || parts.contains(where: \.isEmpty) { throw .badPlatform(text) }
        self.init(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
    }

    /// The platform of the machine that this runs on.
    public static var host: Platform {
        var names = utsname()
        uname(&names)
        let machine = withUnsafeBytes(of: &names.machine) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        return switch machine {
        case "x86_64": Platform(os: "linux", architecture: "amd64")
        case "aarch64": Platform(os: "linux", architecture: "arm64", variant: "v8")
        case "armv7l": Platform(os: "linux", architecture: "arm", variant: "v7")
        case "armv6l": Platform(os: "linux", architecture: "arm", variant: "v6")
        case "i686", "i386": Platform(os: "linux", architecture: "386")
        default: Platform(os: "linux", architecture: machine)
        }
    }

    /// Whether an image for this platform serves who asks for `wanted`; a missing variant fits every one.
    public func serves(_ wanted: Platform) -> Bool {
        if os != wanted.os || architecture != wanted.architecture { return false }
        guard let variant, let asked = wanted.variant else { return true }
        return variant == asked
    }

    public var description: String {
        os + "/" + architecture + (variant.map { "/" + $0 } ?? "")
    }
}
