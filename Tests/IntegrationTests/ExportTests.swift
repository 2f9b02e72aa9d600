// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// What leaves the store in the forms of other tools, and the differences of images.
@Suite("Export and diff", .timeLimit(.minutes(5)))
struct ExportTests {
    /// A tar with everything that an image can hold, written by Python's library.
    private static let everything = #"""
        import io, sys, tarfile
        t = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape")
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o644, time="1234567890.123456789", **more):
            e = tarfile.TarInfo(name); e.type = kind; e.mode = mode; e.size = len(data)
            e.pax_headers = {"mtime": time}
            for k, v in more.items():
                if k == "xattrs": e.pax_headers.update({"SCHILY.xattr." + n: x for n, x in v.items()})
                else: setattr(e, k, v)
            t.addfile(e, io.BytesIO(data))
        add(".", tarfile.DIRTYPE, mode=0o755)
        add("dir", tarfile.DIRTYPE, mode=0o1777)
        add("dir/file", data=b"x" * 70000, uid=70000, gid=80000, xattrs={"user.color": "green"})
        add("dir/setuid", data=b"#!", mode=0o4755)
        add("link", tarfile.LNKTYPE, linkname="dir/file", uid=70000, gid=80000, xattrs={"user.color": "green"})
        add("symbolic", tarfile.SYMTYPE, mode=0o777, linkname="dir/file")
        add("char", tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("block", tarfile.BLKTYPE, devmajor=300, devminor=70000)
        add("fifo", tarfile.FIFOTYPE)
        add(b"not-utf8-\xff\xfe".decode("utf-8", "surrogateescape"), data=b"odd name")
        add("n" * 250, data=b"long name")
        add("before-1970", data=b"", time="-86400")
        add("empty")
        t.close()
        """#

    /// A machine with an image of everything, and a sparse file that only GNU tar can put into a tar.
    private static func machine() throws -> Machine {
        let machine = try Machine()
        let (tar, tree) = (machine.directory + "/all.tar", machine.directory + "/tree")
        try machine.host("python3", "-c", everything, tar)
        try Directories.create(tree, mode: 0o755)
        try machine.host(
            "sh", "-euc",
            """
            cd \(tree); truncate -s 40M hole; printf start | dd of=hole conv=notrunc status=none
            printf middle | dd of=hole bs=1M seek=20 conv=notrunc status=none
            tar --format=posix --pax-option=delete=atime,delete=ctime --sparse --numeric-owner --owner=0 --group=0 -rf \(tar) hole
            """)
        try machine.succeed("import", "rootfs:" + tar, "all")
        return machine
    }

    private static func digest(_ name: String, on machine: Machine) throws -> String {
        try machine.host("sh", "-c", "\(command(machine)) inspect --json \(name) | jq -r .digest")
    }

    private static func command(_ machine: Machine) -> String {
        "SLACKER_ROOT=\(machine.root) SLACKER_RUN=\(machine.run) \(Machine.program)"
    }

    @Test(
        "a tar, a layout and its archive give the same image again, byte for byte, and the same files each time"
    )
    func comesBackEqual() throws {
        let machine = try Self.machine()
        // Inodes are numbered in the order of the tar; from here on that is the order of names.
        try machine.succeed("-q", "export", "all", "rootfs:\(machine.directory)/sorted.tar")
        let sorted = "rootfs:\(machine.directory)/sorted.tar"
        let digest = try Self.digest("sorted", importing: sorted, on: machine)
        #expect(digest.hasPrefix("sha256:"))
        for (number, target) in [
            "rootfs:out.tar", "rootfs:out.tar.gz", "oci:layout:all", "oci-archive:out.oci:v1",
        ].enumerated() {
            let (scheme, path) = try Self.split(target)
            let place = "\(scheme):\(machine.directory)/\(path)"
            try machine.succeed("--quiet", "export", "all", place)
            #expect(try Self.digest("again\(number)", importing: place, on: machine) == digest, "\(target)")
            let changes = try machine.succeed("diff", "all", "again\(number)")
            #expect(changes == "no file differs\n", "\(target): \(changes)")
        }
        let files = ["out.tar", "out.tar.gz", "out.oci", "layout/index.json"].map {
            "\(machine.directory)/\($0)"
        }
        let before = try machine.host("sha256sum", files[0], files[1], files[2], files[3])
        for target in ["rootfs:out.tar", "rootfs:out.tar.gz", "oci:layout:all", "oci-archive:out.oci:v1"] {
            let (scheme, path) = try Self.split(target)
            try machine.succeed("-q", "export", "all", "\(scheme):\(machine.directory)/\(path)")
        }
        #expect(try machine.host("sha256sum", files[0], files[1], files[2], files[3]) == before)
        // Holes stay holes: 40 MiB of file in a tar of less than one.
        #expect(try #require(UInt64(machine.host("stat", "-c", "%s", files[0]).dropLast())) < 1 << 20)
        let listed = try machine.host("tar", "-tvf", files[0])
        #expect(listed.contains("41943040") && listed.contains("link to"), "\(listed)")
    }

    private static func split(_ target: String) throws -> (String, String) {
        let colon = try #require(target.firstIndex(of: ":"))
        return (String(target[..<colon]), String(target[target.index(after: colon)...]))
    }

    private static func digest(_ name: String, importing source: String, on machine: Machine) throws -> String
    {
        try machine.succeed("import", source, name)
        return try digest(name, on: machine)
    }

    @Test("other tools read what was exported")
    func otherTools() throws {
        let machine = try Self.machine()
        let directory = machine.directory
        for target in [
            "oci:\(directory)/l:one", "oci:\(directory)/l:two", "ext4:\(directory)/e", "qcow2:\(directory)/q",
        ] {
            try machine.succeed("-q", "export", "all", target)
        }
        let tags = try machine.host("jq", "-r", ".manifests[].annotations[]", "\(directory)/l/index.json")
        #expect(tags == "one\ntwo\n")
        try machine.host("skopeo", "inspect", "oci:\(directory)/l:two")
        try machine.host("umoci", "unpack", "--image", "\(directory)/l:one", "\(directory)/unpacked")
        let unpacked = "\(directory)/unpacked/rootfs"
        let owner = try machine.host("stat", "-c", "%u:%g %h", "\(unpacked)/dir/file")
        #expect(owner == "70000:80000 2\n", "\(owner)")
        #expect(try machine.host("stat", "-c", "%s", "\(unpacked)/hole") == "41943040\n")
        try machine.host("e2fsck", "-fn", "\(directory)/e")
        try machine.host("qemu-img", "check", "\(directory)/q")
        try machine.host(
            "qemu-img", "compare", "-f", "raw", "-F", "qcow2", "\(directory)/e", "\(directory)/q")
        let served = "\(machine.run)/fs/snapshots/all"
        try machine.host("qemu-img", "compare", "-f", "raw", "-F", "raw", "\(directory)/e", served)
        let taken = try machine.host("du", "--block-size=1", "\(directory)/e")
        #expect(try #require(UInt64(taken.prefix { $0.isNumber })) < 16 << 20, "a sparse file, not \(taken)")
    }

    @Test("a mounted volume is exported as it is, and nothing is left behind")
    func volume() throws {
        let machine = try Machine.withImage()
        try machine.succeed("clone", "base", "v")
        let mount = machine.directory + "/mnt"
        try Directories.create(mount)
        try machine.succeed("mount", "v", mount)
        try machine.write("written\n", mount + "/data/new")
        try machine.host("rm", mount + "/etc/motd")
        #expect(
            try machine.succeed("diff", "base", "v")
                == """
                + /data/new  8 B
                - /etc/motd  21 B
                1 added with 8 B, 0 changed, 1 removed with 21 B

                """)
        #expect(try machine.succeed("-q", "diff", "v", "base") == "- /data/new  8 B\n+ /etc/motd  21 B\n")
        try machine.succeed("-q", "export", "v", "rootfs:\(machine.directory)/v.tar")
        let names = try machine.host("tar", "-tf", machine.directory + "/v.tar")
        #expect(names.contains("data/new") && !names.contains("motd"))
        #expect(try machine.succeed("images", "-q") == "base\n")
        let json = try machine.succeed("diff", "--json", "base", "v")
        let first = try #require(json.split(separator: "\n").first)
        for part in [#""kind":"added""#, #""path":"/data/new""#, #""newSizeBytes":8"#] {
            #expect(first.contains(part), "\(first)")
        }
        try machine.succeed("umount", mount)
    }

    @Test("a difference tells in what respect, through links, types and directories")
    func aspects() throws {
        let machine = try Machine.withImage()
        try machine.host(
            "sh", "-euc",
            """
            cd \(machine.directory)/tree-base; chmod 600 etc/motd; chown 5:6 etc/group; touch -d @1 etc/passwd
            rm -r data; echo a file > data; touch -d @99 data; mkdir -p new/deep; echo 1 > new/deep/file; rm bin/ls
            tar -C . --numeric-owner -cf ../other.tar .
            """)
        try machine.succeed("import", "rootfs:\(machine.directory)/other.tar", "other")
        let lines = try machine.succeed("diff", "base", "other").split(separator: "\n").map(String.init)
        for line in [
            "~ /data  0 B -> 7 B  (type, mode, time)", "~ /etc/group  (owner)", "~ /etc/motd  (mode)",
            "~ /etc/passwd  (time)", "+ /new/", "+ /new/deep/", "+ /new/deep/file  2 B", "- /bin/ls",
        ] {
            #expect(lines.contains(line), "\(line) in \(lines)")
        }
        #expect(lines.count == 9, "\(lines)")
    }

    @Test("what cannot be exported is told in one line, and leaves nothing")
    func refusals() throws {
        let machine = try Machine.withImage()
        let directory = machine.directory
        try machine.fail(["export", "base", "zip:\(directory)/x"], words: ["scheme"])
        try machine.fail(["export", "base", "ext4:"], words: ["no path"])
        try machine.fail(["export", "nobody", "ext4:\(directory)/x"], words: ["nobody"])
        try machine.fail(["export", "base", "ext4:\(directory)/no/where"], words: ["no such file"])
        try machine.fail(["export", "base", "oci:\(directory)"], words: ["neither empty"])
        try machine.fail(["diff", "base", "nobody"], words: ["nobody"])
        let left = try Directories.names(in: directory).filter { $0.hasPrefix("x") }
        #expect(left == [])
    }

    @Test("an image that is not here is exported by fetching it")
    func lazy() throws {
        let (source, target) = (try Machine(), try Machine())
        let registry = try TestRegistry(in: source.directory)
        let reference = "\(registry.host)/team/base:1"
        try source.succeed("import", "rootfs:" + source.makeRootTar(extraBytes: 8 << 20), "base")
        _ = try source.slacker("push", "base", reference)
        let pulled = try target.slacker(["pull", reference], environment: ["SLACKER_FILL_POLICY=never"])
        #expect(pulled.status == 0, "\(pulled.errors)")
        let paths = [source, target].map { "\($0.directory)/out.tar" }
        try source.succeed("-q", "export", "base", "rootfs:" + paths[0])
        try target.succeed("-q", "export", reference, "rootfs:" + paths[1])
        try target.host("cmp", paths[0], paths[1])
    }
}
