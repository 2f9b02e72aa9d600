// SPDX-License-Identifier: Apache-2.0

/// What a token allows: actions on resources, written `TYPE:NAME:ACTION,ACTION`, with spaces in between.
struct ScopeSet: Hashable, Sendable, CustomStringConvertible {
    /// `TYPE:NAME` -> actions.
    private var resources: [String: Set<String>] = [:]

    init() {}

    init(repository name: String, _ actions: Set<String>) {
        resources = ["repository:" + name: actions]
    }

    /// Reads the form that challenges have; words of another form are dropped.
    init(parsing text: String) {
        for word in text.split(separator: " ") {
            guard let colon = word.lastIndex(of: ":"), word[..<colon].contains(":") else { continue }
            let actions = word[word.index(after: colon)...].split(separator: ",").map(String.init)
            resources[String(word[..<colon]), default: []].formUnion(actions)
        }
    }

    var isEmpty: Bool { resources.isEmpty }

    func union(_ other: ScopeSet) -> ScopeSet {
        var result = self
        for (resource, actions) in other.resources {
            result.resources[resource, default: []].formUnion(actions)
        }
        return result
    }

    /// True when who may do this may do the other as well.
    func covers(_ other: ScopeSet) -> Bool {
        other.resources.allSatisfy { resource, actions in
            guard let mine = resources[resource] else { return false }
            return mine.contains("*") || actions.isSubset(of: mine)
        }
    }

    /// One text for each resource, in a fixed order.
    var texts: [String] {
        resources.sorted { $0.key < $1.key }.map { $0.key + ":" + $0.value.sorted().joined(separator: ",") }
    }

    var description: String { texts.joined(separator: " ") }
}
