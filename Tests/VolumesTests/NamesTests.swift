// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Volumes

@Suite struct NamesTests {
    @Test(arguments: ["a", "debian:12", "docker.io/library/python@sha256", "A-b_c.d/e", "0"])
    func imagesMayHave(_ name: String) throws {
        try Names.checkImage(name)
    }

    @Test(arguments: [
        "", "/a", ".a", "a..b", "a//b", "a b", "é", "a\nb", String(repeating: "a", count: 256),
    ])
    func imagesMayNotHave(_ name: String) {
        #expect(throws: VolumeError.self) { try Names.checkImage(name) }
    }

    @Test(arguments: ["", "a/b", "a:b", "-a", String(repeating: "a", count: 129)])
    func volumesMayNotHave(_ name: String) {
        #expect(throws: VolumeError.self) { try Names.checkVolume(name) }
    }

    @Test func nearestNameIsFoundOnlyWhenItIsNear() {
        #expect(Names.nearest(to: "debain", among: ["debian", "python"]) == "debian")
        #expect(Names.nearest(to: "nginx", among: ["debian", "python"]) == nil)
    }
}
