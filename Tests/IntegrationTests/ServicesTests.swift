// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Real servers from Debian packages, run as their users run them.
@Suite("Services", .timeLimit(.minutes(15)))
struct ServicesTests {
    @Test("PostgreSQL, Redis and nginx start, answer, and leave a clean file system")
    func servers() throws {
        let machine = try Machine()
        let layout = try Self.image()
        let imported = try machine.slacker(["import", "oci:" + layout, "services"], seconds: 300)
        #expect(imported.status == 0, "\(imported.errors)")
        for (name, script, answer) in [
            ("postgres", Self.postgres, "t\n"), ("redis", Self.redis, "42\n"),
            ("nginx", Self.nginx, "hello\n"),
        ] {
            let result = try machine.slacker(
                ["run", "--network", "none", "--name", name, "services", "bash", "-euc", script], seconds: 180
            )
            #expect(result.status == 0, "\(name): \(result.output) \(result.errors)")
            #expect(result.output.hasSuffix(answer), "\(name): \(result.output)")
            try machine.check("volumes/" + name)
        }
        try machine.succeed("snapshot", "postgres", "services:used")
        try machine.check("snapshots/services:used")
        let again = try machine.slacker(
            ["run", "--rm", "--network", "none", "services:used", "bash", "-euc", Self.postgresAgain],
            seconds: 120)
        #expect(again.output.hasSuffix("t\n"), "\(again.output) \(again.errors)")
    }

    @Test("a database that is killed in the middle of its work comes back with every commit")
    func killed() throws {
        let machine = try Machine()
        let imported = try machine.slacker(["import", "oci:" + Self.image(), "services"], seconds: 300)
        #expect(imported.status == 0, "\(imported.errors)")
        let log = machine.directory + "/pgbench.log"
        let command =
            "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) exec timeout -k 5 120 \(Machine.program)"
            + " run --network none --name victim services bash -euc '\(Self.postgresForever)' > \(log) 2>&1"
        // The shell makes it a moment after it has been started.
        try machine.host("touch", log)
        let output = try File(open: "/dev/null", O_WRONLY)
        let client = try Subprocess.spawn(["sh", "-c", command], output: output.fd, errors: output.fd)
        let busy = try eventually(seconds: 90) { try machine.host("cat", log).contains("progress: 3") }
        let printed = try machine.host("cat", log)
        #expect(busy, "\(printed)")
        // A snapshot of the running container is what a power cut would leave; the file system itself is
        // frozen.
        try machine.succeed("snapshot", "victim", "running")
        try machine.check("snapshots/running")
        try machine.host("runc", "--root", machine.run + "/runc", "kill", "victim", "KILL")
        #expect(try Subprocess.wait(for: client, "slacker run") == 137)
        try machine.check("volumes/victim")
        try machine.succeed("snapshot", "victim", "killed")
        for image in ["running", "killed"] {
            let result = try machine.slacker(
                ["run", "--rm", "--network", "none", image, "bash", "-euc", Self.postgresAgain], seconds: 120)
            #expect(result.output.hasSuffix("t\n"), "\(image): \(result.output) \(result.errors)")
        }
    }

    /// The layout of the image, built once on this machine.
    private static func image() throws -> String {
        let project = Directories.parent(of: Directories.parent(of: Directories.parent(of: #filePath)))
        let result = try Subprocess.run(["timeout", "1200", project + "/tools/build-image", "services"])
        try #require(result.status == 0, "\(result.errors)")
        return String(result.output.split(separator: "\n").last ?? "")
    }

    private static let start = """
        export PATH=/usr/lib/postgresql/15/bin:$PATH
        install -d -o postgres /run/postgresql
        as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }

        """

    private static let create = """
        install -d -o postgres -m 700 /data
        cd /data
        as initdb -D /data/pg > /dev/null
        as pg_ctl -D /data/pg -w -l /data/log start > /dev/null
        as pgbench -i -s 2 -q postgres > /dev/null 2>&1

        """

    /// Prints "t": pgbench changes accounts, tellers, branches and history by one amount in one transaction.
    private static let sums = """
        as psql -At -c "select (select sum(abalance) from pgbench_accounts) =
            (select sum(delta) from pgbench_history) and (select sum(tbalance) from pgbench_tellers) =
            (select sum(bbalance) from pgbench_branches) and (select count(*) from pgbench_history) > 10" postgres

        """

    private static let postgres =
        start + create + """
            as pgbench -c 4 -j 2 -T 5 -n postgres > /dev/null 2>&1
            as pg_ctl -D /data/pg -w restart > /dev/null

            """ + sums + "as pg_ctl -D /data/pg -w stop > /dev/null"

    private static let postgresForever =
        start + create + "as pgbench -c 4 -j 2 -T 100 -P 1 -n postgres 2>&1\n"

    private static let postgresAgain =
        start + """
            rm -f /data/pg/postmaster.pid
            cd /data
            as pg_ctl -D /data/pg -w -l /data/log start > /dev/null

            """ + sums + "as pg_ctl -D /data/pg -w -m immediate stop > /dev/null"

    private static let redis = """
        redis-server --port 6379 --save "" --appendonly yes --dir /tmp --daemonize yes > /dev/null
        until redis-cli ping > /dev/null 2>&1; do sleep 0.1; done
        redis-cli set answer 42 > /dev/null
        redis-cli shutdown > /dev/null 2>&1 || true
        redis-server --port 6379 --save "" --appendonly yes --dir /tmp --daemonize yes > /dev/null
        until redis-cli ping > /dev/null 2>&1; do sleep 0.1; done
        redis-cli get answer
        """

    private static let nginx = """
        echo hello > /var/www/html/index.html
        nginx
        exec 3<>/dev/tcp/127.0.0.1/80
        printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3
        cat <&3
        """
}

extension Machine {
    /// Expects that e2fsck finds nothing wrong with a file of the daemon's file system, read-only.
    func check(_ file: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try Subprocess.run(["timeout", "120", "e2fsck", "-fn", "\(run)/fs/\(file)"])
        #expect(
            result.status == 0, "\(file): \(result.output) \(result.errors)", sourceLocation: sourceLocation)
    }
}
