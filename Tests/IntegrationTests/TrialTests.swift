// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// The trials of docs/trials.md in small; what they take at length is for `tools/torture` and `tools/model` by hand.
@Suite("Trials", .timeLimit(.minutes(5)))
struct TrialTests {
    private func run(_ tool: String, _ arguments: String...) throws {
        let tests = Directories.parent(of: Directories.parent(of: #filePath))
        let program = try #require(realpath(Machine.program, nil))
        defer { free(program) }
        let result = try Subprocess.run(
            [
                "timeout", "-k", "10", "150", Directories.parent(of: tests) + "/tools/" + tool, "--program",
                String(cString: program),
            ] + arguments)
        #expect(result.status == 0, "\(result.output) \(result.errors)")
    }

    @Test("work goes on through deaths of the daemon: databases, clones of repositories, checksums")
    func torture() throws {
        try run("torture", "--kills", "4")
    }

    @Test("operations of every kind against a model", arguments: [1])
    func model(_ seed: Int) throws {
        try run("model", "--seed", "\(seed)", "--steps", "40", "--seconds", "20")
    }
}
