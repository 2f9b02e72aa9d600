// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Debian's containerd with the plugin: what people do with ctr.
@Suite("containerd", .withContainerd, .timeLimit(.minutes(5)))
struct ContainerdTests {
    @Test("pull, run, exec, diff, commit, remove")
    func life() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        try lab.pull()
        #expect(try ctr.keys().count == 3)
        #expect(try lab.run("one", "cat", "/data/second", "/data/link") == "second\nthird\nsecond\nthird\n")
        #expect(
            try lab.run("two", "sh", "-c", "ls /etc; echo x >/data/second; cat /data/link")
                == "group\npasswd\nx\n")

        try lab.start("long", "sleep", "600")
        #expect(try lab.exec("long", "cat /data/second") == "second\nthird\n")
        _ = try lab.exec(
            "long", "echo made >/data/made; rm /data/link; head -c 300000 /dev/urandom >/data/big")
        try checkDifference(lab)
        try checkUsage(lab)
        try ctr.succeed("tasks", "kill", "--signal", "SIGKILL", "long")
        let ended = try eventually {
            try ctr.succeed("tasks", "list").split(separator: "\n").contains { $0.contains("STOPPED") }
        }
        #expect(ended)
        try ctr.succeed("tasks", "delete", "long")
        try ctr.snapshots("commit", "kept", "long")
        try ctr.snapshots("prepare", "again", "kept")
        try ctr.succeed("containers", "delete", "long")
        #expect(try lab.machine.host("ls", ctr.directory(of: "again") + "/data") == "big\nmade\nsecond\n")

        for key in ["again", "kept"] { try ctr.snapshots("remove", key) }
        try ctr.succeed("images", "remove", "--sync", lab.image)
        try lab.expectNothingLeft()
    }

    /// An ordinary layer of what the container changed, and nothing else.
    private func checkDifference(_ lab: ContainerdLab) throws {
        let file = lab.machine.directory + "/diff"
        let command = """
            ctr --address "$0" --namespace test snapshots --snapshotter slacker diff long >"$1" && \
            tar -tf "$1" | sort
            """
        let names = try lab.machine.host("sh", "-c", command, lab.containerd.socket, file)
        #expect(
            names.split(separator: "\n").filter { !$0.hasSuffix("/") }
                == ["data/.wh.link", "data/big", "data/made"], "\(names)")
    }

    private func checkUsage(_ lab: ContainerdLab) throws {
        let usage = try lab.containerd.snapshots("usage", "-b", "long").split(separator: "\n").last ?? ""
        let bytes = usage.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        #expect(bytes >= 300_000 && bytes < 4 << 20, "\(usage)")
    }

    @Test("twenty images are pulled, run and removed; what others use stays")
    func manyImages() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        let local = String(lab.layout.dropFirst("oci:".count)).split(separator: ":")[0]
        let images = (1...20).map { "\(lab.registry.host)/many:\($0)" }
        for (index, image) in images.enumerated() {
            let number = lab.machine.directory + "/number"
            try lab.machine.write("\(index)\n", number)
            try lab.machine.host(
                "umoci", "insert", "--image", "\(local):latest", "--tag", "many", number, "/data/number")
            try lab.machine.host(
                "skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:\(local):many", "docker://" + image)
            try ctr.succeed("images", "pull", "--plain-http", "--snapshotter", "slacker", image)
        }
        // The three layers below are shared.
        #expect(try ctr.keys().count == 23)
        for index in [0, 7, 19] { try lab.start("c\(index)", "sleep", "600", image: images[index]) }
        for index in [0, 7, 19] { #expect(try lab.exec("c\(index)", "cat /data/number") == "\(index)\n") }
        try ctr.succeed(["images", "remove", "--sync"] + images)
        // Three containers with an image's topmost layer each, and the layers below.
        let areKept = try eventually { try ctr.keys().count == 9 }
        let left = try ctr.keys()
        #expect(areKept, "\(left)")
        #expect(try lab.exec("c7", "cat /data/number /data/second") == "7\nsecond\nthird\n")
        for index in [0, 7, 19] { try lab.remove("c\(index)") }
        try lab.expectNothingLeft()
        try lab.pull()
        try ctr.succeed("images", "remove", "--sync", lab.image)
        try lab.expectNothingLeft()
    }

    @Test("namespaces have keys of their own")
    func namespaces() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        for namespace in ["test", "other"] {
            try ctr.succeed(
                namespace: namespace, "images", "pull", "--plain-http", "--snapshotter", "slacker", lab.image)
            try ctr.snapshots(namespace: namespace, "prepare", "same")
        }
        #expect(try ctr.keys().count == 4)
        #expect(try ctr.keys(namespace: "other").count == 4)
        try ctr.snapshots("remove", "same")
        try ctr.succeed("images", "remove", "--sync", lab.image)
        #expect(try eventually { try ctr.keys().isEmpty })
        #expect(try ctr.keys(namespace: "other").count == 4)
        try ctr.snapshots(namespace: "other", "remove", "same")
        try ctr.succeed(namespace: "other", "images", "remove", "--sync", lab.image)
        #expect(try eventually { try ctr.keys(namespace: "other").isEmpty })
        try lab.expectNothingLeft()
    }

    @Test("an image that was unpacked for overlayfs before runs; so do both side by side")
    func otherSnapshotter() throws {
        let lab = try ContainerdLab()
        let ctr = lab.containerd
        try ctr.succeed("images", "pull", "--plain-http", "--snapshotter", "overlayfs", lab.image)
        #expect(try ctr.keys().isEmpty)
        #expect(try lab.run("one", "cat", "/data/link") == "second\nthird\n")
        #expect(try ctr.keys().count == 3)
        let overlay = try ctr.succeed(
            "run", "--rm", "--snapshotter", "overlayfs", lab.image, "two", "cat", "/data/link")
        #expect(overlay == "second\nthird\n")
        try ctr.succeed("images", "remove", "--sync", lab.image)
        try lab.expectNothingLeft()
    }
}
