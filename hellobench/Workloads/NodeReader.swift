// SPDX-License-Identifier: Apache-2.0

/// A mistake in a file of workloads: where it is, at which key, and what would be right.
struct WorkloadError: Error, CustomStringConvertible, Equatable {
    let file: String
    /// Nil when the file as a whole is meant.
    let line: Int?
    /// As `workloads[3].ready.lines`; empty for the file as a whole.
    let key: String
    let problem: String

    var description: String {
        file + (line.map { ":\($0)" } ?? "") + ": " + (key.isEmpty ? "" : key + ": ") + problem
    }
}

/// A JSON value on its way to become something typed; every error names its line and key.
struct NodeReader {
    let file: String
    let key: String
    let node: JSONNode

    func error(_ problem: String) -> WorkloadError {
        WorkloadError(file: file, line: node.line, key: key, problem: problem)
    }

    private func expected(_ what: String) -> WorkloadError {
        error("\(what) is expected here, not \(node.kind)")
    }

    func string() throws(WorkloadError) -> String {
        guard case .string(let text) = node.value else { throw expected("a string") }
        return text
    }

    /// A string with something in it.
    func name() throws(WorkloadError) -> String {
        let text = try string()
        if text.isEmpty { throw error("an empty string says nothing") }
        return text
    }

    func path() throws(WorkloadError) -> String {
        let text = try string()
        guard text.hasPrefix("/"), !text.split(separator: "/").contains("..") else {
            throw error("\(text): a path begins with / and has no ..")
        }
        return text
    }

    func integer(in range: ClosedRange<Int>) throws(WorkloadError) -> Int {
        guard case .number(let number) = node.value else { throw expected("a number") }
        guard let whole = Int(exactly: number), range.contains(whole) else {
            throw error("a whole number from \(range.lowerBound) to \(range.upperBound) is expected here")
        }
        return whole
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        of type: Choice.Type
    ) throws(WorkloadError) -> Choice where Choice.RawValue == String {
        let text = try string()
        if let choice = Choice(rawValue: text) { return choice }
        throw error(
            "\(text): one of \(type.allCases.map(\.rawValue).joined(separator: ", ")) is expected here")
    }

    func array() throws(WorkloadError) -> [NodeReader] {
        guard case .array(let nodes) = node.value else { throw expected("an array") }
        return nodes.enumerated().map { NodeReader(file: file, key: "\(key)[\($0)]", node: $1) }
    }

    func strings() throws(WorkloadError) -> [String] {
        var strings: [String] = []
        for element in try array() { strings.append(try element.string()) }
        return strings
    }

    /// Members under any names, in the order of the file.
    func dictionary() throws(WorkloadError) -> [(name: String, reader: NodeReader)] {
        guard case .object(let members) = node.value else { throw expected("an object") }
        return members.map { ($0.key, reader($0)) }
    }

    /// An object all of whose keys are known.
    func object(keys: [String]) throws(WorkloadError) -> ObjectReader {
        guard case .object(let members) = node.value else { throw expected("an object") }
        for member in members where !keys.contains(member.key) {
            let near = NearMatch.names(like: member.key, in: keys)
            throw WorkloadError(
                file: file, line: member.line, key: join(member.key),
                problem: "no such key; "
                    + (near.isEmpty
                        ? "known are " + keys.joined(separator: ", ")
                        : "did you mean \(near.joined(separator: " or "))?"))
        }
        return ObjectReader(
            reader: self,
            members: Dictionary(members.map { ($0.key, reader($0)) }, uniquingKeysWith: { first, _ in first })
        )
    }

    private func join(_ name: String) -> String { key.isEmpty ? name : key + "." + name }

    private func reader(_ member: JSONNode.Member) -> NodeReader {
        NodeReader(file: file, key: join(member.key), node: member.node)
    }
}

/// The members of an object whose keys have been checked.
struct ObjectReader {
    let reader: NodeReader
    fileprivate let members: [String: NodeReader]

    /// Nil when it is not there, or null.
    subscript(_ key: String) -> NodeReader? {
        guard let member = members[key] else { return nil }
        if case .null = member.node.value { return nil }
        return member
    }

    func required(_ key: String) throws(WorkloadError) -> NodeReader {
        if let member = self[key] { return member }
        throw reader.error("the key \"\(key)\" is missing")
    }
}
