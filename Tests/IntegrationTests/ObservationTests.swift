// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// What the daemon tells of itself: figures, events, reads as they happen, reasons.
@Suite("Observation", .timeLimit(.minutes(5)))
struct ObservationTests {
    /// The value of the sample whose name and labels are as given.
    private static func value(_ sample: String, in text: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
            .flatMap { Double($0.dropFirst(sample.count + 1)) }
    }

    @Test(
        "metrics count what containers read and write, and Prometheus' own tool finds nothing wrong with them"
    )
    func metrics() throws {
        let machine = try Machine.withImage()
        let port = UInt16.random(in: 20_000..<32_000)
        machine.stopDaemon(SIGTERM)
        try machine.succeed("daemon", "--set", "metrics.listen=127.0.0.1:\(port)")
        try machine.succeed(
            "run", "--name", "c", "base", "/bin/sh", "-c", "cat /etc/motd; echo x > /data/f; sync")
        let files = [machine.directory + "/socket.txt", machine.directory + "/port.txt"]
        let socket = machine.run + "/slacker.sock"
        try machine.host("curl", "-sf", "--unix-socket", socket, "http://slacker/v1/metrics", "-o", files[0])
        try machine.host("curl", "-sf", "http://127.0.0.1:\(port)/metrics", "-o", files[1])
        let other = try machine.host(
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port)/v1/images")
        #expect(other == "404", "nothing but metrics is served there")
        for file in files {
            try machine.host("sh", "-c", "promtool check metrics < \(file)")
            let text = try machine.host("cat", file)
            for sample in [
                "slacker_read_seconds_count{source=\"cache\"}", "slacker_written_bytes_total",
                "slacker_fuse_requests_total{op=\"read\"}", "slacker_volume_dirty_bytes{volume=\"c\"}",
                "slacker_volumes", "slacker_images", "slacker_chunk_bytes", "slacker_restarts_total",
            ] {
                #expect(try #require(Self.value(sample, in: text), "\(sample)") > 0, "\(sample)")
            }
            #expect(Self.value("slacker_unclean_restarts_total", in: text) == 0)
            #expect(Self.value("slacker_fuse_errors_total", in: text) == 0)
        }
        try machine.fail(
            [
                "daemon", "--run", machine.directory + "/other", "--root", machine.directory + "/other-root",
                "--set", "metrics.listen=0.0.0.0:1",
            ], words: ["127.0.0.1"])
        try machine.fail(
            [
                "daemon", "--run", machine.directory + "/other", "--root", machine.directory + "/other-root",
                "--set", "metrics.listen=127.0.0.1:\(port)",
            ], words: ["cannot listen"])
    }

    @Test("events tell what happened, in order, as JSON lines")
    func events() throws {
        let machine = try Machine.withImage()
        try machine.succeed("clone", "base", "v")
        try machine.succeed("snapshot", "v", "copy")
        try machine.succeed("rm", "v")
        try machine.fail(["import", "rootfs:/nowhere.tar", "x"])
        let text = try machine.host(
            "sh", "-c",
            "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) \(Machine.program) events --no-follow "
                + "| jq -r '[.sequence, .event, .name] | @tsv'")
        #expect(
            text == """
                1\timport.begun\tbase
                2\timport.succeeded\tbase
                3\tvolume.created\tv
                4\timage.created\tcopy
                5\tremoved\tv
                6\timport.begun\tx
                7\timport.failed\tx

                """)
    }

    @Test("a trace shows each read with its file, and ends by itself")
    func trace() throws {
        let machine = try Machine.withImage()
        try machine.succeed("clone", "base", "v")
        let mount = machine.directory + "/mnt"
        try Directories.create(mount)
        try machine.succeed("mount", "v", mount)
        let output = machine.directory + "/trace"
        let file = try File(open: output, O_RDWR | O_CREAT)
        let child = try Subprocess.spawn(
            [
                "env", "SLACKER_ROOT=\(machine.root)", "SLACKER_RUN=\(machine.run)", Machine.program, "trace",
                "--seconds", "3", "v",
            ], output: file.fd, errors: file.fd)
        usleep(1_000_000)
        try machine.host("cat", mount + "/etc/motd", mount + "/bin/busybox")
        #expect(try Subprocess.wait(for: child, "trace") == 0)
        let lines = try machine.host("cat", output).split(separator: "\n")
        #expect(lines.contains { $0.hasSuffix("cache  /etc/motd") }, "\(lines)")
        #expect(lines.contains { $0.contains("/bin/busybox") }, "\(lines)")
        try machine.succeed("umount", mount)
        try machine.fail(["trace", "nobody"], words: ["nobody"])
    }

    @Test("why tells of images here and elsewhere, without pulling them")
    func why() throws {
        let (source, target) = (try Machine.withImage(), try Machine())
        let registry = try TestRegistry(in: source.directory)
        let block = "\(registry.host)/team/base:1"
        let ordinary = "\(registry.host)/team/ordinary:1"
        #expect(try source.succeed("why", "base").hasPrefix("base: not lazy: everything is here"))
        _ = try source.slacker("push", "base", block)
        try source.succeed("-q", "export", "base", "oci:\(source.directory)/layout")
        try source.host(
            "skopeo", "copy", "--dest-tls-verify=false", "oci:\(source.directory)/layout:latest",
            "docker://" + ordinary)
        #expect(try target.succeed("why", block).contains("not here; a pull is lazy"))
        #expect(try target.succeed("why", ordinary).contains("--publish"))
        #expect(try target.succeed("images", "-q") == "")
        let pulled = try target.slacker(["pull", block], environment: ["SLACKER_FILL_POLICY=never"])
        #expect(pulled.status == 0)
        let answer = try target.succeed("why", block)
        #expect(answer.contains("lazy") && answer.contains(registry.host), "\(answer)")
        #expect(try target.succeed("why", "\(registry.host)/team/base:none").contains("no such image"))
    }

    @Test("top prints a page where there is no terminal, and status says what is lazy")
    func pages() throws {
        let machine = try Machine.withImage()
        try machine.succeed("run", "--rm", "base", "/bin/true")
        let top = try machine.succeed("top", "--interval", "0.2")
        #expect(top.contains("hit rate") && !top.contains("\u{1B}"), "\(top)")
        #expect(try machine.succeed("top", "--interval", "0.1", "--count", "2").contains("cache"))
        let status = try machine.succeed("status")
        #expect(status.contains("from here at once") && status.contains("0 of them lazy"), "\(status)")
    }
}
