// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Images that have a block image: containerd unpacks nothing of them.
@Suite("containerd, lazy images", .withContainerd, .timeLimit(.minutes(5)))
struct ContainerdLazyTests {
    @Test("an image is registered without its layers, for every namespace; lower layers are made on demand")
    func registered() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        try lab.machine.succeed("pull", "--publish", lab.image)
        try lab.machine.succeed("rm", lab.image)
        for namespace in ["test", "other"] {
            let text = try lab.machine.succeed(
                "pull", "--containerd", namespace, "--containerd-address", ctr.socket, lab.image)
            #expect(text.contains("registered in containerd's namespace \(namespace)"))
        }
        #expect(try ctr.keys().count == 3)
        // Nothing is mounted or cloned before somebody wants it.
        #expect(lab.machine.loops.isEmpty)
        #expect(try lab.run("one", "cat", "/data/link") == "second\nthird\n")
        // No layer was fetched: manifest and configuration are there.
        let content = try ctr.succeed("content", "list", "--quiet").split(separator: "\n")
        #expect(content.count == 2, "\(content)")
        // What builds on a lower layer has it made.
        let chains = try ctr.snapshots("tree").split(whereSeparator: \.isWhitespace)
            .filter { $0.contains("sha256:") }
        let lowest = String(try #require(chains.first).drop { !$0.isLetter })
        try ctr.snapshots("prepare", "low", lowest)
        #expect(try lab.machine.host("ls", ctr.directory(of: "low") + "/etc") == "group\nmotd\npasswd\n")
        try ctr.snapshots("remove", "low")
        for namespace in ["test", "other"] {
            try ctr.succeed(namespace: namespace, "images", "remove", "--sync", lab.image)
        }
        try lab.expectNothingLeft()
    }

    @Test("an ordinary image is registered too; one that is not there is refused and leaves nothing")
    func ordinary() throws {
        let lab = try ContainerdLab()
        try lab.machine.succeed(
            "pull", "--containerd", "test", "--containerd-address", lab.containerd.socket, lab.image)
        #expect(try lab.run("one", "cat", "/data/link") == "second\nthird\n")
        try lab.machine.fail(
            [
                "pull", "--containerd", "test", "--containerd-address", lab.containerd.socket,
                lab.registry.host + "/none",
            ], words: ["/none"])
        try lab.machine.fail(
            ["pull", "--containerd", "test", "--containerd-address", "/nowhere.sock", lab.image],
            words: ["/nowhere.sock", "is containerd running there?"])
        #expect(try lab.containerd.keys().count == 3)
        #expect(try lab.containerd.succeed("leases", "list", "--quiet") == "")
    }
}
