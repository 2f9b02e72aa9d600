// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Debian's containerd with the plugin: what people do with ctr.
@Suite("containerd", .disabled("was not run yet"), .timeLimit(.minutes(5)))
struct ContainerdTests {
    /// A daemon, a registry with an image of three layers, and containerd.
    private struct Lab {
        let machine: Machine
        let registry: TestRegistry
        let containerd: TestContainerd
        /// The image in the registry.
        let image: String

        init() throws {
            machine = try Machine()
            try machine.succeed("daemon")
            registry = try TestRegistry(in: machine.directory)
            image = registry.host + "/app:latest"
            let layout = try machine.makeLayout()
            let local = String(layout.dropFirst("oci:".count))
            try machine.host("umoci", "config", "--image", local, "--config.user", "root:root")
            try machine.addLayer(to: layout, "echo second >data/second; rm etc/motd")
            try machine.addLayer(to: layout, "echo third >>data/second; ln data/second data/link")
            try machine.host("skopeo", "copy", "-q", "--dest-tls-verify=false", layout, "docker://" + image)
            containerd = try TestContainerd(machine)
        }

        func run(_ id: String, _ command: String...) throws -> String {
            let result = try containerd.ctr(
                ["run", "--rm", "--snapshotter", "slacker", image, id] + command)
            #expect(result.status == 0, "\(result.errors)\n\(containerd.log)")
            return result.output
        }
    }

    @Test("pull, run, exec, commit, remove")
    func life() throws {
        let lab = try Lab()
        let ctr = lab.containerd
        try ctr.succeed("images", "pull", "--plain-http", "--snapshotter", "slacker", lab.image)
        #expect(try ctr.snapshots().count == 3)
        #expect(try lab.run("one", "cat", "/data/second", "/data/link") == "second\nthird\nsecond\nthird\n")
        #expect(
            try lab.run("two", "sh", "-c", "ls /etc; echo x >/data/second; cat /data/link")
                == "group\npasswd\nx\n")

        try ctr.succeed("run", "--detach", "--snapshotter", "slacker", lab.image, "long", "sleep", "600")
        #expect(
            try ctr.succeed("tasks", "exec", "--exec-id", "e", "long", "cat", "/data/second")
                == "second\nthird\n")
        try ctr.succeed(
            "tasks", "exec", "--exec-id", "f", "long", "sh", "-c", "echo made >/data/made; rm /data/link")
        let difference = try ctr.ctr(["snapshots", "--snapshotter", "slacker", "diff", "long"])
        #expect(difference.status == 0, "\(difference.errors)")
        #expect(difference.output.utf8.count > 100)
        #expect(try ctr.succeed("snapshots", "--snapshotter", "slacker", "usage", "long").contains("long"))
        try ctr.succeed("tasks", "kill", "--signal", "SIGKILL", "long")
        let ended = try eventually {
            try ctr.succeed("tasks", "list").split(separator: "\n").contains { $0.contains("STOPPED") }
        }
        #expect(ended)
        try ctr.succeed("tasks", "delete", "long")
        try ctr.succeed("snapshots", "--snapshotter", "slacker", "commit", "kept", "long")
        try ctr.succeed("snapshots", "--snapshotter", "slacker", "prepare", "again", "kept")
        try ctr.succeed("containers", "delete", "long")
        let mounts = try ctr.succeed("snapshots", "--snapshotter", "slacker", "mounts", "/nowhere", "again")
        let place = try #require(mounts.split(separator: " ").first { $0.hasPrefix(lab.machine.run) })
        #expect(try lab.machine.host("ls", "\(place)/data") == "made\nsecond\n")

        for key in ["again", "kept"] {
            try ctr.succeed("snapshots", "--snapshotter", "slacker", "remove", key)
        }
        try ctr.succeed("images", "remove", "--sync", lab.image)
        let isEmpty = try eventually { try ctr.snapshots().isEmpty }
        let left = try ctr.snapshots()
        #expect(isEmpty, "\(left)")
        #expect(lab.machine.mounts.filter { $0.contains("/run/containerd/") }.isEmpty)
        #expect(lab.machine.loops.isEmpty)
    }

    @Test(
        "a lazy image is registered without its layers, for every namespace, and its lower layers are made on demand"
    )
    func lazy() throws {
        let lab = try Lab()
        let ctr = lab.containerd
        try lab.machine.succeed("pull", "--publish", lab.image)
        try lab.machine.succeed("rm", lab.image)
        let address = lab.machine.directory + "/ctd/c.sock"
        for namespace in ["test", "other"] {
            let text = try lab.machine.succeed(
                "pull", "--containerd", namespace, "--containerd-address", address, lab.image)
            #expect(text.contains("registered in containerd's namespace \(namespace)"))
        }
        #expect(try ctr.snapshots().count == 3)
        #expect(try lab.run("one", "cat", "/data/link") == "second\nthird\n")
        // No layer was fetched.
        let content = try ctr.succeed("content", "list", "--quiet").split(separator: "\n")
        #expect(content.count == 2, "\(content)")
        // What builds on a lower layer has it made.
        let chains = try ctr.succeed("snapshots", "--snapshotter", "slacker", "tree")
            .split(whereSeparator: \.isWhitespace).filter { $0.contains("sha256:") }
        let lowest = String(try #require(chains.first).drop { !$0.isLetter })
        try ctr.succeed("snapshots", "--snapshotter", "slacker", "prepare", "low", lowest)
        let mounts = try ctr.succeed("snapshots", "--snapshotter", "slacker", "mounts", "/nowhere", "low")
        let place = try #require(mounts.split(separator: " ").first { $0.hasPrefix(lab.machine.run) })
        #expect(try lab.machine.host("ls", "\(place)/etc") == "group\nmotd\npasswd\n")
    }
}

extension Machine {
    /// Adds a layer to an image of a layout: what a script does in the root file system.
    func addLayer(to source: String, _ script: String) throws {
        let image = String(source.dropFirst("oci:".count))
        let bundle = "\(directory)/layer-\(UInt32.random(in: 0...UInt32.max))"
        try host("umoci", "unpack", "--image", image, bundle)
        try host("sh", "-ec", "cd \"$0/rootfs\"; " + script, bundle)
        try host("umoci", "repack", "--image", image, bundle)
    }
}
