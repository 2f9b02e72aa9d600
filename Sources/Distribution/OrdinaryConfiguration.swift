// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials
import OCI

/// Any JSON value; what we do not know in a document stays in it.
indirect enum JSONValue: Codable, Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([JSONValue].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSONValue].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .string(let string): try value.encode(string)
        case .array(let array): try value.encode(array)
        case .object(let object): try value.encode(object)
        }
    }
}

/// The configuration of an image that is pushed as an ordinary one.
enum OrdinaryConfiguration {
    /// Says which layers an image has, and adds one line to its history; everything else stays as it is.
    /// - Parameters:
    ///   - bytes: what the image has here; its own layers and history are not believed.
    ///   - base: the configuration of the image that it stands on; nil without one.
    ///   - diffIDs: of all layers, lowest first.
    ///   - isEmpty: the image has no layer more than its base.
    ///   - created: seconds since 1970.
    ///   - creator: what the line in the history says.
    static func make(
        _ bytes: [UInt8], base: [UInt8]?, diffIDs: [Digest], isEmpty: Bool, created: Int64,
        creator: String = "slacker push"
    ) throws(OCIError) -> [UInt8] {
        var object = try self.object(bytes)
        let name = "configuration of the image"
        let time = JSONValue.string(Date(timeIntervalSince1970: Double(created)).formatted(.iso8601))
        object["rootfs"] = .object([
            "type": .string("layers"), "diff_ids": .array(diffIDs.map { .string("\($0)") }),
        ])
        object["created"] = time
        if object["architecture"] == nil { object["architecture"] = .string(Platform.host.architecture) }
        if object["os"] == nil { object["os"] = .string(Platform.host.os) }
        var line: [String: JSONValue] = ["created": time, "created_by": .string(creator)]
        if isEmpty { line["empty_layer"] = .bool(true) }
        object["history"] = .array(try history(base) + [.object(line)])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return [UInt8](try encoder.encode(JSONValue.object(object))) } catch {
            throw .badDocument(name, reason: "it cannot be written: \(error)")
        }
    }

    private static func object(_ bytes: [UInt8]) throws(OCIError) -> [String: JSONValue] {
        if bytes.isEmpty { return [:] }
        // Checks size and depth before anything else is made of it.
        _ = try ImageConfiguration(parsing: bytes, name: "configuration of the image")
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(bytes)),
            case .object(let object) = value
        else { throw .badDocument("configuration of the image", reason: "it is not a JSON object") }
        return object
    }

    /// Lines of the base, if there is one for each of its layers: some builders write none.
    private static func history(_ base: [UInt8]?) throws(OCIError) -> [JSONValue] {
        guard let base else { return [] }
        let parsed = try ImageConfiguration(parsing: base, name: "configuration of the base")
        if case .array(let lines)? = try object(base)["history"],
            (parsed.history ?? []).count(where: { $0.emptyLayer != true }) == parsed.rootfs.diffIDs.count
        {
            return lines
        }
        return parsed.rootfs.diffIDs.map { _ in .object(["comment": .string("unknown")]) }
    }
}
