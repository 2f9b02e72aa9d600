// SPDX-License-Identifier: Apache-2.0

/// An address for messages: a query may hold a signature and the user part a password.
public func redactedURL(_ url: String) -> String {
    var text = String(url.prefix { $0 != "?" && $0 != "#" })
    if let scheme = text.firstRange(of: "://") {
        let rest = text[scheme.upperBound...]
        let host = rest.prefix { $0 != "/" }
        if let at = host.lastIndex(of: "@") {
            text = String(text[..<scheme.upperBound] + rest[rest.index(after: at)...])
        }
    }
    return text
}
