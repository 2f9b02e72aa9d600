// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Sources that nobody should send: one line says why they are refused, and nothing is left of them.
@Suite("Bad input", .timeLimit(.minutes(5)))
struct BadInputTests {
    /// Writes `NAME.tar` for each kind of bad tar, with a good file in front of the bad entry.
    private static let writer = """
        import io, os, sys, tarfile
        def entry(name, kind=b"0", data=b"", link="", pax={}):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname, member.pax_headers = kind, len(data), link, pax
            return member, io.BytesIO(data)
        def write(name, *entries, change=lambda raw: raw):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for member, data in [entry("good", data=os.urandom(100000)), *entries]:
                    tar.addfile(member, data)
            open(name + ".tar", "wb").write(change(out.getvalue()))
        def resize(raw, field):
            at = raw.rindex(b"sized")
            header = bytearray(raw[at:at + 512])
            header[124:136], header[148:156] = field, b" " * 8
            header[148:156] = b"%06o\\0 " % sum(header)
            return raw[:at] + bytes(header) + raw[at + 512:]
        write("dotdot", entry("../evil", data=b"x"))
        write("absolute", entry("/etc/passwd", data=b"x"))
        write("hardlink", entry("l", b"1", link="../../etc/passwd"))
        write("linked", entry("out", b"2", link="/"), entry("l", b"1", link="out/etc/passwd"))
        write("whiteout", entry(".wh.."))
        write("kind", entry("odd", b"Z"))
        write("nul", entry("x", pax={"path": "a\\0b"}))
        write("negative", entry("sized"), change=lambda raw: resize(raw, b"\\xff" * 12))
        write("huge", entry("sized"), change=lambda raw: resize(raw, b"\\x80\\0\\0\\0\\x80" + b"\\0" * 7))
        write("cut", entry("x", data=b"x" * 5000), change=lambda raw: raw[:101 * 1024 + 300])
        """

    private static let tars: [(name: String, words: [String])] = [
        ("dotdot", ["../evil", "leaves the tree"]), ("absolute", ["/etc/passwd", "absolute"]),
        ("hardlink", ["leaves the tree"]), ("linked", ["missing"]), ("whiteout", [".wh..", "whiteout"]),
        ("kind", ["odd", "its type"]), ("nul", ["a NUL in 'path'"]), ("negative", ["tar"]),
        ("huge", ["tar"]), ("cut", ["tar"]),
    ]

    /// Nothing of an import that was refused is left, in the catalog or on the disk.
    private func expectNothing(_ machine: Machine) throws {
        #expect(try machine.images().isEmpty)
        #expect(try eventually { try machine.usage().chunkBytes == 0 })
        for folder in ["maps", "deltas", "profiles"] {
            #expect(try Directories.names(in: machine.root + "/" + folder).isEmpty, "\(folder)")
        }
        #expect(try machine.succeed("fsck", "--deep").contains("nothing is wrong"))
    }

    @Test("tars that are damaged, or reach where they must not")
    func tars() throws {
        let machine = try Machine()
        try machine.host("sh", "-c", "cd \(machine.directory) && exec python3 -c '\(Self.writer)'")
        for (name, words) in Self.tars {
            let source = "rootfs:\(machine.directory)/\(name).tar"
            try machine.fail(["import", source, name], words: words)
        }
        try expectNothing(machine)
        try machine.succeed("import", "rootfs:" + machine.makeRootTar(), "base")
        #expect(try machine.succeed("run", "--rm", "base", "echo", "fine") == "fine\n")
    }

    @Test("layouts whose parts do not fit together")
    func layouts() throws {
        let machine = try Machine()
        let source = try machine.makeLayout()
        let layout = "\(machine.directory)/app-oci"
        let change = """
            import hashlib, json, os, sys
            kind, root = sys.argv[1:]
            path = lambda digest: root + "/blobs/sha256/" + digest.split(":")[1]
            index = json.load(open(root + "/index.json"))
            manifest = json.load(open(path(index["manifests"][0]["digest"])))
            layer = manifest["layers"][0]
            blob = path(layer["digest"])
            if kind == "truncated":
                os.truncate(blob, layer["size"] // 2)
            if kind == "corrupted":
                data = bytearray(open(blob, "rb").read())
                data[len(data) // 2] ^= 0x55
                open(blob, "wb").write(data)
            if kind == "swapped":
                data = open(path(manifest["config"]["digest"]), "rb").read()
                open(blob, "wb").write(data.ljust(layer["size"], b" "))
            if kind == "type":
                layer["mediaType"] = "application/x-odd"
            if kind == "size":
                layer["size"] = 2**63 - 1
            data = json.dumps(manifest).encode()
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            open(path(digest), "wb").write(data)
            index["manifests"][0].update(digest=digest, size=len(data))
            json.dump(index, open(root + "/index.json", "w"))
            """
        let table: [(kind: String, words: [String])] = [
            ("truncated", ["announced"]), ("corrupted", ["damaged"]), ("swapped", ["damaged"]),
            ("type", ["unknown media type", "x-odd"]), ("size", ["more than a blob can have"]),
        ]
        for (kind, words) in table {
            let copy = "\(machine.directory)/\(kind)"
            try machine.host("cp", "-a", layout, copy)
            try machine.host("python3", "-c", change, kind, copy)
            try machine.fail(["import", "oci:\(copy):latest", kind], words: words)
        }
        try expectNothing(machine)
        try machine.succeed("import", source, "app")
    }
}
