// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

/// The reader of files of workloads, and the file that is part of the program.
@Suite struct WorkloadFileTests {
    private static let good = """
        {
          "schema": "hellobench-workloads/2",
          "suite": "bookworm",
          "bases": {"debian": {"layers": [{"system": "minbase"}]}},
          "workloads": [
            {
              "name": "redis",
              "image": "redis:7.2",
              "category": "database",
              "task": {"kind": "wait-line", "ready": {"lines": ["Ready"], "occurrence": 2}, "timeLimit": 30},
              "debian": {"fidelity": "same", "from": "debian", "layers": [{"packages": ["redis-server"]}],
                         "command": ["redis-server"], "task": {"argv": ["redis-server"], "ready": {"lines": ["On"]}}}
            },
            {
              "name": "gcc",
              "image": "gcc:13",
              "category": "language",
              "task": {"kind": "stdin", "argv": ["sh"], "stdin": "cc main.c\\n",
                       "mounts": [{"target": "/src", "files": {"main.c": "hello.c"}}],
                       "environment": {"HOME": "/root"}, "ready": {"output": "hello"}},
              "whyNotDebian": "left out"
            }
          ]
        }
        """

    private static func read(_ text: String) throws(WorkloadError) -> [Workload] {
        try WorkloadSet.read(Array(text.utf8), name: "w.json") { $0 == "hello.c" ? Array("main".utf8) : nil }
            .workloads
    }

    @Test func allThatAFileMaySay() throws {
        let workloads = try Self.read(Self.good)
        let redis = try #require(workloads.first)
        #expect(redis.category == .database)
        #expect(redis.task.ready == .line(anyOf: ["Ready"], occurrence: 2))
        #expect(redis.task.timeLimitSeconds == 30)
        let debian = try #require(redis.debian)
        #expect(
            debian.layers == [
                .system(suite: "bookworm"),
                .packages(["redis-server"], suite: "bookworm", before: nil, after: nil),
            ])
        #expect(debian.task.argv == ["redis-server"])
        #expect(debian.task.ready == .line(anyOf: ["On"], occurrence: 1))
        #expect(debian.task.timeLimitSeconds == 30, "what an image does not say is as the workload says")
        let gcc = try #require(workloads.last)
        #expect(
            gcc.task.mounts == [
                TaskMount(target: "/src", files: [.init(name: "main.c", content: Array("main".utf8))])
            ])
        #expect(gcc.task.environment == ["HOME=/root"])
        #expect(gcc.task.stdin == "cc main.c\n")
        #expect(gcc.task.ready == .exit(status: 0, output: "hello"))
        #expect(gcc.task(for: .built) == nil)
        #expect(gcc.whyNotDebian == "left out")
    }

    /// A change that makes the file wrong, and what is said about it.
    @Test(arguments: [
        (
            "\"category\": \"database\"", "\"category\": \"databse\"",
            "w.json:9: workloads[0].category: databse: one of distro, database, language, other, web-framework, "
                + "web-server is expected here"
        ),
        (
            "\"image\": \"redis:7.2\",", "",
            "w.json:6: workloads[0]: the key \"image\" is missing"
        ),
        (
            "\"timeLimit\": 30", "\"timelimit\": 30",
            "w.json:10: workloads[0].task.timelimit: no such key; did you mean timeLimit?"
        ),
        (
            "\"occurrence\": 2", "\"occurrence\": 0",
            "w.json:10: workloads[0].task.ready.occurrence: a whole number from 1 to 100 is expected here"
        ),
        (
            "\"occurrence\": 2", "\"occurrence\": \"2\"",
            "w.json:10: workloads[0].task.ready.occurrence: a number is expected here, not a string"
        ),
        (
            "[\"Ready\"]", "[]",
            "w.json:10: workloads[0].task.ready.lines: at least one text to wait for is needed"
        ),
        (
            "\"from\": \"debian\"", "\"from\": \"debina\"",
            "w.json:11: workloads[0].debian.from: debina: no such base above this; did you mean debian?"
        ),
        (
            "{\"packages\": [\"redis-server\"]}", "{\"packages\": [\"--help\"]}",
            "w.json:11: workloads[0].debian.layers[0].packages[0]: --help: not a package's name"
        ),
        (
            "\"main.c\": \"hello.c\"", "\"main.c\": \"nothing.c\"",
            "w.json:19: workloads[1].task.mounts[0].files.main.c: nothing.c: no such file in the folder programs"
        ),
        (
            "\"target\": \"/src\"", "\"target\": \"/src/../etc\"",
            "w.json:19: workloads[1].task.mounts[0].target: /src/../etc: a path begins with / and has no .."
        ),
        (
            "\"stdin\": \"cc main.c\\n\",", "",
            "w.json:18: workloads[1].task: \"stdin\" goes with the kind stdin, and with no other"
        ),
        (
            "\"whyNotDebian\": \"left out\"", "\"notes\": []",
            "w.json:14: workloads[1]: either \"debian\" or \"whyNotDebian\" must be there"
        ),
        (
            "\"name\": \"gcc\"", "\"name\": \"redis\"",
            "w.json:14: workloads[1]: there is another workload with the name redis"
        ),
        (
            "\"category\": \"language\",", "\"category\": \"language\"",
            "w.json:18: a comma or } is missing after the value of \"category\""
        ),
        ("workloads/2", "workloads/9", "w.json:2: schema: hellobench-workloads/2 is expected here"),
        ("\"gcc:13\"", "\"gcc:13", "w.json:16: a string does not end on its line"),
        (
            "\"suite\": \"bookworm\",", "\"suite\": \"bookworm\", \"suite\": \"trixie\",",
            "w.json:3: the key \"suite\" is there twice"
        ),
    ])
    func aMistakeIsNamedWithLineAndKey(_ right: String, _ wrong: String, _ message: String) {
        let parts = Self.good.split(separator: right, maxSplits: 1, omittingEmptySubsequences: false)
        #expect(parts.count == 2)
        let error = #expect(throws: WorkloadError.self) { try Self.read(parts.joined(separator: wrong)) }
        #expect(error?.description == message)
    }

    @Test(arguments: [
        "", "{", "[1, 2", "{\"a\" 1}", "nul", "\"\\u12\"", "\"\\ud800\"", "{} {}", "1e999", "{\"a\":}",
    ])
    func whatIsNoJSONIsAnErrorWithALine(_ text: String) {
        #expect(throws: WorkloadError.self) { try Self.read(text) }
    }

    @Test func nestingHasALimit() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONParser.Failure.self) { try JSONParser.parse(Array(deep.utf8)) }
    }

    @Test func escapesAreTheCharactersTheyStandFor() throws {
        let node = try JSONParser.parse(Array(#""a\n\t\"\\\/\u00e9\ud83d\ude00""#.utf8))
        guard case .string(let text) = node.value else {
            throw WorkloadError(file: "", line: nil, key: "", problem: "")
        }
        #expect(text == "a\n\t\"\\/\u{e9}\u{1f600}")
    }

    @Test func theBuiltInFileHasThePapersWorkloads() throws {
        let workloads = try WorkloadSet.load(nil).workloads
        #expect(workloads.count == 57)
        #expect(workloads.count { $0.debian != nil } == 34)
        let counts = Dictionary(grouping: workloads, by: \.category).mapValues(\.count)
        #expect(
            counts == [.distro: 13, .database: 10, .language: 17, .webFramework: 4, .webServer: 6, .other: 7])
        let kinds = Dictionary(grouping: workloads, by: \.task.kind).mapValues(\.count)
        #expect(kinds == [.echo: 13, .waitLine: 20, .stdin: 15, .command: 5, .waitURL: 4])
        for workload in workloads { #expect(workload.image.contains(":"), "\(workload.name) has a tag") }
    }
}
