// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Glibc
import OCI
import Testing

@testable import Daemon

@Suite("Configuration", .timeLimit(.minutes(1)))
struct ConfigurationTests {
    /// A configuration of a file with this text, in a directory that goes again.
    private func configuration(
        _ text: String?, environment: [String] = [], flags: [FlagSetting] = []
    ) throws -> Configuration {
        guard let text else {
            return try Configuration(
                file: nil, environment: ["SLACKER_CONFIG=/dev/null"] + environment, flags: flags,
                directory: "/work")
        }
        let directory = "/tmp/slk-config-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try Directories.create(directory)
        defer { try? Directories.removeTree(directory) }
        try File(open: directory + "/c.toml", O_WRONLY | O_CREAT).write(Array(text.utf8), at: 0)
        return try Configuration(
            file: directory + "/c.toml", environment: environment, flags: flags, directory: "/work")
    }

    private func failure(_ text: String) -> String {
        do {
            _ = try ConfigurationFile(path: "/c.toml", text: text)
            return ""
        } catch {
            return error.message
        }
    }

    @Test("a flag wins over the environment, that over the file, and that over the default")
    func precedence() throws {
        let text = "[fetch]\nwait_seconds = 5\nthreads = 3\nmemory = \"32M\"\n"
        let flags = [FlagSetting(path: "fetch.wait_seconds", text: "7.5", flag: "--set fetch.wait_seconds")]
        let all = try configuration(
            text, environment: ["SLACKER_FETCH_WAIT_SECONDS=6", "SLACKER_FETCH_THREADS=4"], flags: flags)
        #expect(all[Settings.waitSeconds] == 7.5)
        #expect(all[Settings.decoderThreads] == 4)
        #expect(all[Settings.fetchMemory] == 32 << 20)
        #expect(all[Settings.demandRequests] == 64)
        let origins = Dictionary(uniqueKeysWithValues: all.entries.map { ($0.key, $0.origin) })
        #expect(origins["fetch.wait_seconds"] == "--set fetch.wait_seconds")
        #expect(origins["fetch.threads"] == "$SLACKER_FETCH_THREADS")
        #expect(origins["fetch.memory"]?.hasSuffix("/c.toml:4") == true)
        #expect(origins["fetch.demand_requests"] == "default")
    }

    @Test(
        "mistakes name the file, the line, the key and what was meant",
        arguments: [
            (
                "[fetch]\n\n# note\nwait_secnds = 3\n",
                ["/c.toml:4: fetch.wait_secnds", "did you mean fetch.wait_seconds?"]
            ),
            ("[fecth]\nmemory = 1\n", ["/c.toml:1: fecth", "did you mean [fetch]?"]),
            (
                "[fetch]\nthreads = \"two\"\n",
                ["/c.toml:2: fetch.threads wants a number from 1 to 64", "two"]
            ),
            ("[fetch]\nthreads = 65\n", ["/c.toml:2: fetch.threads", "65"]),
            ("a = \"\"\"\nx\ny\"\"\"\n[log]\nlevel = 1\n", ["/c.toml:1: a: no such section"]),
            ("[log]\nlevel = \"loud\"\n", ["/c.toml:2: log.level wants trace,", "loud"]),
            (
                "[registries]\nplain_http = [\n 'a', # ]\n 3\n]\n",
                ["/c.toml:2: registries.plain_http wants a list"]
            ),
            ("[fetch]\nmemory = -1\n", ["/c.toml:2: fetch.memory wants bytes from 4M"]),
            (
                "[fetch]\nwait_seconds = true\n",
                ["/c.toml:2: fetch.wait_seconds wants seconds from 1 to 86400"]
            ),
            ("[fetch]\nx = [1,\n2]\n\n[run]\npull = \"x\" \n", ["/c.toml:2: fetch.x: no such setting"]),
            ("fetch.threads = 0\n", ["/c.toml:1: fetch.threads"]),
            ("fetch = { threads = 0 }\n", ["/c.toml:1: fetch.threads"]),
            ("[fetch\n", ["/c.toml:1: "]), ("fetch = 3\n", ["/c.toml:1: fetch: no such section"]),
        ])
    func mistakes(text: String, words: [String]) {
        let message = failure(text)
        for word in words { #expect(message.contains(word), "\(message)") }
        #expect(!message.contains("\n"))
    }

    @Test("mistakes in variables and flags name these")
    func otherMistakes() throws {
        for (variable, word) in [
            ("SLACKER_FETCH_WAIT=3", "did you mean SLACKER_FETCH_"),
            ("SLACKER_FETCH_THREADS=many", "$SLACKER_FETCH_THREADS: fetch.threads wants"),
            ("SLACKER_RUN_PULL=sometimes", "always, missing or never"),
        ] {
            let error = #expect(throws: Failure.self) { try configuration(nil, environment: [variable]) }
            #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
        }
        let flag = FlagSetting(path: "fetch.thread", text: "1", flag: "--set fetch.thread")
        let error = #expect(throws: Failure.self) { try configuration(nil, flags: [flag]) }
        #expect(error?.message.contains("did you mean fetch.threads?") == true)
        // Variables of others are none of our business.
        _ = try configuration(
            nil, environment: ["SLACKER_BIN=/x", "SLACKER_TEST_MARK=1", "SLACKER_FETCH_THREADS="])
    }

    @Test("a file that is named must be there; the default one need not")
    func files() throws {
        let error = #expect(throws: Failure.self) {
            try Configuration(file: "/nowhere/c.toml", environment: [], directory: "/")
        }
        #expect(error?.message.hasPrefix("/nowhere/c.toml: ") == true)
    }

    @Test("relative paths start from the file or from the working directory")
    func paths() throws {
        let all = try configuration(
            "[registries]\ncredential_files = [\"a.json\", \"/b.json\"]\n",
            environment: ["SLACKER_ROOT=state", "SLACKER_STORAGE_RUN=/r"])
        #expect(all.places == Places(root: "/work/state", run: "/r"))
        #expect(all.namesRoot)
        #expect(all[Settings.credentialFiles].first?.hasSuffix("/a.json") == true)
        #expect(all[Settings.credentialFiles].first?.hasPrefix("/tmp/") == true)
        #expect(all[Settings.credentialFiles].last == "/b.json")
    }

    @Test("every setting's default is a value of its kind, in range, and can be written and read")
    func table() throws {
        #expect(Settings.byPath.count == Settings.all.count)
        for key in Settings.all {
            #expect(key.kind.checked(key.fallback) == key.fallback, "\(key.path)")
            #expect(key.kind.parse(key.fallback.description) == key.fallback, "\(key.path)")
            #expect(!key.summary.isEmpty && key.summary.hasSuffix("."), "\(key.path)")
        }
        let variables = Settings.all.flatMap { [$0.variable] + ($0.shortVariable.map { [$0] } ?? []) }
        #expect(Set(variables).count == variables.count)
    }

    @Test("options of the daemon are made of the table")
    func flags() throws {
        let words = FlagSetting.unfold([
            "--fetch-wait-seconds", "3", "--foreground", "--fill-policy=now", "--", "--fill-rate", "1",
        ])
        #expect(
            words == [
                "--set", "fetch.wait_seconds=3", "--foreground", "--set", "fill.policy=now", "--",
                "--fill-rate", "1",
            ])
        #expect(try FlagSetting(parsing: "a.b=c=d").text == "c=d")
        #expect(throws: Failure.self) { try FlagSetting(parsing: "a.b") }
    }

    @Test("secrets are not shown")
    func secrets() throws {
        let all = try configuration(nil, environment: ["SLACKER_S3_SECRET_KEY=hush"])
        #expect(all[Settings.s3SecretKey] == "hush")
        #expect(!"\(all.entries)".contains("hush"))
    }

    @Test("the modules get what is configured")
    func modules() throws {
        let all = try configuration(
            """
            [registries]
            plain_http = ["registry.example.test:5000"]
            certs_dir = "/certs"
            [network]
            retries = 2
            [fetch]
            wait_seconds = 9
            eager_bytes = 0
            [fill]
            rate = "10M"
            [s3]
            endpoint = "http://s3.example.test:9000"
            """)
        #expect(all.registries.plainHTTPHosts == ["registry.example.test:5000"])
        #expect(all.registries.certsDirectory == "/certs")
        #expect(all.registries.attempts == 3)
        #expect(all.fetchLimits.wantSeconds == 9)
        #expect(all.fetchLimits.eagerBytes == nil)
        #expect(all.fetchLimits.background.bytesPerSecond == 10 << 20)
        #expect(
            all.completed("s3://b/p#x") == "s3://b/p?endpoint=http%3A%2F%2Fs3.example.test%3A9000#x")
        #expect(all.completed("s3://b/p?endpoint=http://o#x") == "s3://b/p?endpoint=http://o#x")
        #expect(all.completed("registry.example.test/a:1") == "registry.example.test/a:1")
    }

    @Test("docs/configuration.md is what the table says")
    func reference() throws {
        let tests = Directories.parent(of: Directories.parent(of: #filePath))
        let bytes = try File.small(Directories.parent(of: tests) + "/docs/configuration.md")
        #expect(
            String(decoding: bytes, as: UTF8.self) == ConfigurationReference.markdown,
            "run 'slacker config --reference > docs/configuration.md'")
    }
}
