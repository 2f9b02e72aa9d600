// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Images that go through a real registry and are read block by block on the other side.
@Suite("Lazy pull", .timeLimit(.minutes(5)))
struct LazyTests {
    /// Bytes that make the image larger than what its start reads.
    private static let noiseBytes = 24 << 20

    /// Two machines and a registry; the first has pushed `base`, with a profile of its start.
    private struct Pair {
        let source: Machine
        let target: Machine
        let registry: TestRegistry
        let reference: String

        init(profile: Bool = true) throws {
            source = try Machine()
            target = try Machine()
            registry = try TestRegistry(in: source.directory)
            reference = "\(registry.host)/team/base:1"
            try source.succeed("import", "rootfs:" + source.makeRootTar(extraBytes: noiseBytes), "base")
            if profile { try source.succeed("profile", "base", "--", "/bin/cat", "/etc/motd") }
            try source.succeed("push", "base", reference)
        }
    }

    @Test("push from one machine, run on another that has never seen the image")
    func coldRun() throws {
        let pair = try Pair()
        let output = try pair.target.slacker(
            ["run", "--rm", pair.reference, "/bin/cat", "/etc/motd"],
            environment: ["SLACKER_FILL_POLICY=never"])
        #expect(output.status == 0 && output.output == "hello from the image\n", "\(output)")
        #expect(output.errors == "", "\(output)")
        let image = try pair.target.localImages().first { $0.name == pair.reference }
        let local = try #require(image?.localBytes)
        #expect(local > 0 && local < UInt64(Self.noiseBytes), "\(local)")
        try pair.target.check("snapshots/" + pair.reference.shownName)
        // A name goes before a reference, and what is here is not asked for again.
        pair.registry.stop()
        #expect(
            try pair.target.succeed("run", "--rm", pair.reference, "/bin/cat", "/etc/motd").hasPrefix("hello")
        )
    }

    @Test("what is pulled is what was pushed, byte for byte")
    func sameBytes() throws {
        let pair = try Pair(profile: false)
        try pair.target.succeed("pull", pair.reference, "--name", "copy")
        let sums = try [(pair.source, "base"), (pair.target, "copy")].map { machine, image in
            try machine.succeed("run", "--rm", image, "/bin/md5sum", "/data/noise")
        }
        #expect(sums[0] == sums[1])
    }

    @Test("a filled image needs no registry, also after a restart")
    func filled() throws {
        let pair = try Pair(profile: false)
        try pair.target.succeed("pull", "--fill", "never", "--name", "copy", pair.reference)
        #expect(try pair.target.fill("copy").state == "off")
        try pair.target.succeed("fill", "copy")
        #expect(try pair.target.fill("copy").state == "complete")
        pair.registry.stop()
        pair.target.stopDaemon(SIGTERM)
        let sum = try pair.target.succeed("run", "--rm", "copy", "/bin/md5sum", "/data/noise")
        #expect(try sum == pair.source.succeed("run", "--rm", "base", "/bin/md5sum", "/data/noise"))
    }

    @Test("without the registry a read waits as long as configured, then fails, and works when it is back")
    func registryAway() throws {
        let pair = try Pair(profile: false)
        try pair.source.write(
            "[fill]\npolicy = \"never\"\n[fetch]\nwait_seconds = 2\n", pair.target.directory + "/c")
        let environment = ["SLACKER_CONFIG=\(pair.target.directory)/c"]
        #expect(
            try pair.target.slacker(["pull", "--name", "copy", pair.reference], environment: environment)
                .status == 0)
        // What the shell needs is here; the noise is not.
        let warm = ["run", "--rm", "copy", "/bin/md5sum", "/etc/motd"]
        #expect(try pair.target.slacker(warm, environment: environment).status == 0)
        pair.target.stopDaemon(SIGTERM)
        pair.registry.stop()
        let start = MonotonicTime.now
        let read = ["run", "--rm", "copy", "/bin/md5sum", "/data/noise"]
        let failed = try pair.target.slacker(read, environment: environment)
        #expect(failed.status == 1 && failed.errors.contains("nput/output error"), "\(failed)")
        #expect(MonotonicTime.now.seconds(since: start) < 20)
        try pair.registry.start()
        let again = try pair.target.slacker(read, environment: environment)
        #expect(again.status == 0, "\(again)")
    }

    @Test("a changed image sends what has changed and little more")
    func changed() throws {
        let pair = try Pair()
        try pair.source.succeed(
            "run", "--name", "work", "base", "/bin/sh", "-c", "echo changed > /etc/motd")
        try pair.source.succeed("snapshot", "work", "next")
        let report = try pair.source.succeed("push", "--json", "next", "\(pair.registry.host)/team/base:2")
        let push = try pair.source.decode(PushAnswer.self, report)
        #expect(push.sentBytes < 512 << 10, "\(report)")
        let output = try pair.target.succeed(
            "run", "--rm", "\(pair.registry.host)/team/base:2", "/bin/cat", "/etc/motd")
        #expect(output == "changed\n")
    }

    @Test("profile says what was read; plain runs are recorded where there is none")
    func profiles() throws {
        let machine = try Machine()
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(extraBytes: Self.noiseBytes), "base")
        try machine.succeed("run", "--rm", "base", "/bin/true")
        #expect(try eventually { try machine.inspect("base").profile != nil })
        let line = try machine.slacker(
            [
                "profile", "--json", "--until-line", "ready", "base", "--", "/bin/sh", "-c",
                "echo ready; exec /bin/sleep 100",
            ])
        #expect(line.status == 0 && line.output.hasPrefix("ready\n"), "\(line)")
        let profile = try #require(try machine.inspect("base").profile)
        #expect(profile.touchedBytes > 4096 && profile.touchedBytes < UInt64(Self.noiseBytes))
        #expect(try machine.status().containers.isEmpty)
        #expect(try machine.volumes().isEmpty)
        try machine.fail(
            "profile", "--until-line", "never", "base", "--", "/bin/true", words: "before it was ready")
    }

    @Test("mistakes are one line")
    func mistakes() throws {
        let machine = try Machine()
        let registry = try TestRegistry(in: machine.directory)
        try machine.fail("pull", "\(registry.host)/team/none:1", words: "team/none")
        try machine.fail("run", "\(registry.host)/team/none:1", "true", words: "team/none")
        try machine.fail("run", "--pull", "never", "\(registry.host)/team/none:1", "true", words: "not here")
        registry.stop()
        try machine.fail("push", "nosuch", "\(registry.host)/a:1", words: "nosuch")
        let result = try machine.slacker(["images"], environment: ["SLACKER_FETCH_THREADS=0"])
        #expect(result.status == 1 && result.errors.contains("fetch.threads"), "\(result)")
    }

    @Test("a command that is not in the image is told in our words")
    func noCommand() throws {
        let machine = try Machine.withImage()
        let missing = try machine.slacker(["run", "--rm", "base", "nosuch-command"])
        #expect(missing.status == 127 && missing.output == "", "\(missing)")
        #expect(missing.errors.hasPrefix("slacker: nosuch-command: not found in the image"), "\(missing)")
        #expect(missing.errors.split(separator: "\n").count == 1)
        let refused = try machine.slacker(["run", "--rm", "base", "/etc/motd"])
        #expect(refused.status == 126 && refused.errors.hasPrefix("slacker: /etc/motd: "), "\(refused)")
        #expect(try machine.volumes().isEmpty)
    }
}

struct PushAnswer: Decodable {
    let sentBytes: UInt64
}

struct FillAnswer: Decodable {
    let image: String
    let state: String
}

struct LocalImageAnswer: Decodable {
    let name: String
    let localBytes: UInt64?
}

struct ProfiledAnswer: Decodable {
    struct Profile: Decodable {
        let touches: Int
        let touchedBytes: UInt64
    }
    let profile: Profile?
}

extension String {
    /// A name as the daemon's file system shows it.
    var shownName: String { replacing("%", with: "%25").replacing("/", with: "%2F") }
}

extension Machine {
    func localImages() throws -> [LocalImageAnswer] {
        try decode([LocalImageAnswer].self, succeed("images", "--json"))
    }

    func inspect(_ name: String) throws -> ProfiledAnswer {
        try decode(ProfiledAnswer.self, succeed("inspect", "--json", name))
    }

    func fill(_ image: String) throws -> FillAnswer {
        try #require(try decode([FillAnswer].self, succeed("fill", "--status", "--json", image)).first)
    }

    /// As the variadic one.
    func fail(_ arguments: String..., words: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
        let result = try slacker(arguments)
        #expect(result.status == 1, "\(arguments): \(result)", sourceLocation: sourceLocation)
        #expect(result.errors.split(separator: "\n").count == 1, "\(result)", sourceLocation: sourceLocation)
        #expect(result.errors.hasPrefix("slacker: "), "\(result)", sourceLocation: sourceLocation)
        #expect(result.errors.contains(words), "\(result)", sourceLocation: sourceLocation)
    }
}
