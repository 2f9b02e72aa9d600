// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// A mirror before the registry, as containerd's `hosts.toml` has it, that is no good.
@Suite("Fetching through bad mirrors", .timeLimit(.minutes(3)))
struct FetchFaultMirrorTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let fault: FaultProxy.Fault
        var inManifests = false
    }

    static let cases = [
        Case(testDescription: "bytes that are always wrong", fault: .flip(atByte: 12)),
        Case(testDescription: "404 of packs", fault: .answer(404)),
        Case(testDescription: "403 of packs", fault: .answer(403)),
        Case(testDescription: "503 for ever", fault: .answer(503)),
        Case(
            testDescription: "another range",
            fault: .answer(
                206, headers: [("Content-Range", "bytes 0-0/1")], text: "x")),
        Case(testDescription: "connections that end", fault: .hangUp),
        // What a tag means is believed where a mirror may resolve; here it may not.
        Case(testDescription: "everything is a lie", fault: .answer(200, text: "{}"), inManifests: true),
    ]

    @Test("the registry itself is asked where its mirror fails", arguments: cases)
    func mirror(_ harm: Case) throws {
        let certificates = try makeTestDirectory("mirrors")
        defer { try? Directories.removeTree(certificates) }
        let lab = try FaultLab(
            ["SLACKER_REGISTRIES_CERTS_DIR=\(certificates)", "SLACKER_FETCH_WAIT_SECONDS=20"], direct: true)
        let hosts = certificates + "/" + lab.registry.host
        try Directories.create(hosts)
        try lab.machine.write(
            """
            server = "http://\(lab.registry.host)"
            [host."http://\(lab.proxy.host)"]
            capabilities = [\(harm.inManifests ? "" : "\"resolve\", ")"pull"]

            """, hosts + "/hosts.toml")
        let harmed: @Sendable (FaultProxy.Request) -> Bool = { request in
            harm.inManifests || FaultLab.isPack(request)
        }
        if harm.inManifests { lab.proxy.inject(harm.fault, times: .max, where: harmed) }
        try lab.pull()
        lab.proxy.inject(harm.fault, times: .max, where: harmed)
        let before = lab.proxy.requests.count
        let cold = try lab.check()
        #expect(cold.status == 0 && cold.errors == "", "\(cold)")
        #expect(harm.inManifests || lab.proxy.requests.count > before, "the mirror was not asked")
        try lab.expectHealed()
    }
}
