// SPDX-License-Identifier: Apache-2.0

/// A request of the control API, taken apart.
struct Call: Sendable {
    let method: String
    /// Below the version, decoded: `["images", "debian/python"]`.
    let path: [String]
    let query: [String: String]
    let body: [UInt8]

    func number(_ name: String) -> Int? { query[name].flatMap { Int($0) } }

    /// Decodes the body as JSON.
    func decode<T: Decodable>(_ type: T.Type) throws(Failure) -> T {
        if body.isEmpty { throw Failure(.invalid, "request: empty; send one json object") }
        return try JSON.decode(type, body)
    }
}

/// What a call is answered with.
enum Reply: Sendable {
    case json([UInt8])
    /// Figures in Prometheus' format.
    case text(String)
    /// A file of JSON lines, removed once it is sent.
    case lines(TemporaryFile)

    static func value(_ value: some Encodable) throws(Failure) -> Reply {
        .json(try JSON.encode(value))
    }
}
