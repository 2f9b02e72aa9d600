// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Small images around a static busybox, made with ordinary tools.
extension Machine {
    /// Runs a command of the host and expects success.
    @discardableResult
    func host(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let result = try Subprocess.run(["timeout", "60"] + arguments)
        #expect(result.status == 0, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        return result.output
    }

    /// A root file system as a tar file: busybox, a few files, and `extra` bytes of noise.
    func makeRootTar(_ name: String = "base", extraBytes: Int = 0) throws -> String {
        let tree = "\(directory)/tree-\(name)"
        for part in ["bin", "etc", "tmp", "proc", "sys", "dev", "data"] {
            try Directories.create("\(tree)/\(part)", mode: 0o755)
        }
        try host("cp", "/bin/busybox", "\(tree)/bin/busybox")
        try host("chroot", tree, "/bin/busybox", "--install", "-s", "/bin")
        try write(
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/data:/bin/sh\n", "\(tree)/etc/passwd")
        try write("root:x:0:\nalice:x:1001:\nstaff:x:50:alice\n", "\(tree)/etc/group")
        try write("hello from the image\n", "\(tree)/etc/motd")
        if extraBytes > 0 {
            try host(
                "dd", "if=/dev/urandom", "of=\(tree)/data/noise", "bs=4096", "count=\(extraBytes / 4096)",
                "status=none")
        }
        let tar = "\(directory)/\(name).tar"
        try host("tar", "-C", tree, "--numeric-owner", "--owner=0", "--group=0", "-cf", tar, ".")
        return tar
    }

    /// An OCI image layout with one layer and a configuration.
    func makeLayout(_ name: String = "app") throws -> String {
        let layout = "\(directory)/\(name)-oci"
        let bundle = "\(directory)/\(name)-bundle"
        _ = try makeRootTar(name)
        try host("umoci", "init", "--layout", layout)
        try host("umoci", "new", "--image", layout + ":latest")
        try host("umoci", "unpack", "--image", layout + ":latest", bundle)
        try host("cp", "-a", "\(directory)/tree-\(name)/.", bundle + "/rootfs/")
        try host("umoci", "repack", "--image", layout + ":latest", bundle)
        try host(
            "umoci", "config", "--image", layout + ":latest", "--config.entrypoint", "/bin/echo",
            "--config.cmd", "from",
            "--config.cmd", "config", "--config.env", "COLOR=green", "--config.user", "alice",
            "--config.workingdir", "/data")
        return "oci:\(layout):latest"
    }

    func write(_ text: String, _ path: String) throws {
        try File(open: path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).write(Array(text.utf8), at: 0)
    }

    /// A machine with one imported image `base`.
    static func withImage() throws -> Machine {
        let machine = try Machine()
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        return machine
    }
}
