// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Containerd

/// The language of filters: what it selects, and what is refused.
@Suite struct FilterTests {
    private static let fields: [String: String] = [
        "name": "default/12/sha256:abc", "kind": "committed", "parent": "",
        "labels\u{0}containerd.io/snapshot.ref": "sha256:abc", "labels\u{0}foo": "bar, \"baz\"\n",
    ]

    private func field(_ path: [String]) -> String? {
        if path.first == "labels" {
            return Self.fields["labels\u{0}" + path.dropFirst().joined(separator: ".")]
        }
        return path.count == 1 ? Self.fields[path[0]] : nil
    }

    @Test(arguments: [
        ("", true), ("name", true), ("parent", true), ("size", false), ("kind==committed", true),
        ("kind == committed", true), ("kind==active", false), ("kind!=active", true),
        ("kind==committed,name==default/12/sha256:abc", true), ("kind==committed , kind==active", false),
        (#"parent=="""#, true), (#"labels."containerd.io/snapshot.ref"==sha256:abc,parent=="""#, true),
        ("labels.foo", true), ("labels.other", false), ("labels.other!=x", true), ("labels.other==x", false),
        (#"labels.foo=="bar, \"baz\"\n""#, true), (#"labels.foo=="bar, \x22baz\042\u000a""#, true),
        ("name~=^default/", true), ("name~=/12.sha/", true), ("name~=|^12|", false), ("name~=[", false),
        (#""name"~="sha256:[a-c]+$""#, true),
    ])
    func selects(_ text: String, _ expected: Bool) throws {
        #expect(try Filter(text).matches(field) == expected)
    }

    @Test(arguments: [
        ",", "name,", "name==", "==x", "name=x", "name===x", "name~x", "name==a b", "name..x", "name.",
        #"name=="open"#, #"name=="\q""#, #"name=="\x1""#, #"name=="\400""#, #"name=="\ud800""#, "name==/x/",
        "/name/==x", "&name", "name==\"a\nb\"",
    ])
    func refuses(_ text: String) throws {
        let error = #expect(throws: FilterError.self) { try Filter(text) }
        #expect(error?.description.contains("byte") == true)
    }
}
