// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite("Import and inspect", .timeLimit(.minutes(5)))
struct ImportTests {
    @Test("the same root twice gives the same digest and takes no second space")
    func twice() throws {
        let machine = try Machine()
        let tar = try machine.makeRootTar(extraBytes: 4 << 20)
        try machine.succeed("import", "rootfs:" + tar, "one")
        try machine.succeed("import", "rootfs:" + tar, "two")
        let images = try machine.images()
        #expect(images.map(\.name) == ["one", "two"])
        #expect(images[0].digest != nil)
        #expect(images[0].digest == images[1].digest)
        let usage = try machine.usage()
        #expect(usage.chunkBytes > 4 << 20)
        #expect(usage.images.allSatisfy { $0.uniqueBytes == 0 && $0.sharedBytes == $0.dataBytes })
        #expect(usage.referencedBytes >= 2 * usage.chunkBytes)
    }

    @Test("an image that shares most of its files stores only the rest")
    func sharing() throws {
        let machine = try Machine()
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("base"), "base")
        let before = try machine.usage().chunkBytes
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("more", extraBytes: 1 << 20), "more")
        let growth = try machine.usage().chunkBytes - before
        #expect(growth >= 1 << 20)
        #expect(growth < 2 << 20)
    }

    @Test("an OCI layout brings its configuration along")
    func layout() throws {
        let machine = try Machine()
        try machine.succeed("import", machine.makeLayout(), "team/app:1.0")
        let text = try machine.succeed("inspect", "team/app:1.0", "--json")
        let answer = try machine.decode(InspectAnswer.self, text)
        #expect(answer.kind == "image")
        #expect(answer.configuration.entrypoint == ["/bin/echo"])
        #expect(answer.configuration.command == ["from", "config"])
        #expect(answer.configuration.environment.contains("COLOR=green"))
        #expect(answer.configuration.user == "alice")
        #expect(answer.configuration.workingDirectory == "/data")
        #expect(answer.configuration.layers.count == 1)
        #expect(try machine.succeed("run", "--rm", "team/app:1.0") == "from config\n")
        #expect(try machine.succeed("run", "--rm", "team/app:1.0", "other") == "other\n")
        let words = "$COLOR $(id -u):$(id -g) $(pwd)"
        let output = try machine.succeed(
            "run", "--rm", "--entrypoint", "/bin/sh", "team/app:1.0", "-c", "echo \(words)")
        #expect(output == "green 1000:1001 /data\n")
    }

    @Test("files are listed without a mount")
    func files() throws {
        let machine = try Machine.withImage()
        let lines = try machine.succeed("inspect", "base", "--files").split(separator: "\n").map(String.init)
        let motd = try #require(lines.first { $0.hasSuffix(" /etc/motd") })
        #expect(motd.hasPrefix("-rw-r--r-- 1 0:0 "))
        #expect(motd.contains(" 21 "))
        #expect(lines.contains { $0.hasPrefix("lrwx") && $0.contains(" /bin/sh -> ") })
        #expect(lines.contains { $0.hasPrefix("drwxr-xr-x ") && $0.hasSuffix(" /data") })
        #expect(machine.loops.isEmpty)
    }

    @Test("an import that is interrupted leaves nothing")
    func interrupted() throws {
        let machine = try Machine()
        let tar = try machine.makeRootTar(extraBytes: 512 << 20)
        try machine.succeed("daemon")
        let result = try Subprocess.run([
            "timeout", "-s", "INT", "0.5", "env", "SLACKER_ROOT=\(machine.root)",
            "SLACKER_RUN=\(machine.run)",
            Machine.program, "import", "rootfs:" + tar, "big",
        ])
        #expect(result.status == 124)
        #expect(result.errors == "slacker: big: import cancelled\n")
        #expect(try eventually { try machine.usage().chunkBytes == 0 })
        #expect(try machine.images().isEmpty)
        try machine.succeed("import", "rootfs:" + machine.makeRootTar("small"), "big")
    }
}
