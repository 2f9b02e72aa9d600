// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import BlockFS

@Suite struct FileNamesTests {
    @Test(arguments: [
        ("debian", "debian"), ("docker.io/library/python:3.12", "docker.io%2Flibrary%2Fpython:3.12"),
        ("a%b", "a%25b"), ("a%2Fb", "a%252Fb"), ("/", "%2F"), ("%", "%25"),
    ])
    func namesComeBack(_ name: String, _ shown: String) {
        #expect(FileNames.shown(name) == shown)
        #expect(FileNames.name(shownAs: shown) == name)
    }

    @Test(arguments: ["", "%", "a%2", "%2f", "%41", "%%"])
    func noNameIsShownSo(_ file: String) {
        #expect(FileNames.name(shownAs: file) == nil)
    }
}
