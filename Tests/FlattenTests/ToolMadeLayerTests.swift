// SPDX-License-Identifier: Apache-2.0

import Flatten
import Testing

/// Layers that GNU tar and Python write, in each of their formats.
@Suite struct ToolMadeLayerTests {
    /// A small tree with what a root file system has.
    private static let tree = """
        mkdir -p t/bin t/d/e; echo one > t/bin/one; ln t/bin/one t/bin/two; ln -s one t/bin/three
        chmod 4755 t/bin/one; chmod 1777 t/d; chown 1000:1001 t/d/e; mkfifo t/p; mknod t/null c 1 3
        touch -d '2020-01-02 03:04:05.678901234' t/bin/one
        mkdir "t/$(printf 'n\\377\\376')"; : > "t/$(printf '%0255d' 7)"
        long=$(printf '%0100d' 1); mkdir -p t/$long/$long; echo deep > t/$long/$long/file
        """

    @Test(arguments: ["gnu", "pax", "posix", "oldgnu"])
    func formatsOfGNUTar(_ format: String) throws {
        let fixture = try Fixture()
        try fixture.shell(Self.tree + "; tar --format=\(format) --numeric-owner -C t -cf layer.tar .")
        try fixture.expectUnion([try fixture.read("layer.tar")])
    }

    @Test func formatOfPython() throws {
        let fixture = try Fixture()
        let script = """
            python3 -c 'import tarfile
            for n, f in (("u", tarfile.GNU_FORMAT), ("p", tarfile.PAX_FORMAT)):
                t = tarfile.open(n + ".tar", "w", format=f, encoding="utf-8", errors="surrogateescape")
                t.add("t", "."); t.close()'
            """
        try fixture.shell(Self.tree + "\n" + script)
        try fixture.expectUnion([try fixture.read("u.tar"), try fixture.read("p.tar")])
    }

    @Test(arguments: ["--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"])
    func sparseFiles(_ option: String) throws {
        let fixture = try Fixture()
        let format = option.hasPrefix("--sparse") ? "--format=posix" : ""
        let script = """
            mkdir t; truncate -s 5G t/huge; printf head | dd of=t/huge conv=notrunc status=none
            printf middle | dd of=t/huge bs=1 seek=4500000001 conv=notrunc status=none
            truncate -s 1M t/hole; printf x > t/edge; truncate -s 70000 t/edge
            for i in $(seq 0 30); do printf "$i" | dd of=t/comb bs=1 seek=$((i * 20000)) conv=notrunc status=none; done
            tar -S --numeric-owner \(format) \(option) -C t -cf layer.tar .
            """
        try fixture.shell(script)
        try fixture.expectUnion([try fixture.read("layer.tar")])
    }

    @Test func accessControlLists() throws {
        let fixture = try Fixture()
        let script = """
            mkdir -p t/d; echo x > t/f; chmod 640 t/f; setfacl -m u:1234:rw,g:55:r,m::rw t/f
            setfacl -m d:u:77:rwx t/d; setfattr -n user.k -v v t/f
            tar --format=posix --xattrs --xattrs-include='*' --numeric-owner -C t -cf layer.tar .
            """
        try fixture.shell(script)
        try fixture.expectUnion([try fixture.read("layer.tar")])
    }

    /// GNU tar's own form of an ACL is text; the file system must show what the source had.
    @Test func accessControlListsAsText() throws {
        let fixture = try Fixture()
        let script = """
            mkdir -p t/d; echo x > t/f; chmod 640 t/f; setfacl -m u:1234:rw,g:55:r,m::rw t/f; setfacl -m d:u:77:rwx t/d
            tar --format=posix --acls --numeric-owner -C t -cf layer.tar .
            """
        try fixture.shell(script)
        let image = try fixture.writeImage(
            try fixture.flatten(Fixture.image([try fixture.read("layer.tar")])).map)
        let shown = try fixture.shell(
            """
            mkdir m; timeout 60 unshare -m sh -euc 'mount --make-rprivate /; mount -o ro,loop \(image) m
            (cd m && getfacl -n f d) > shown; stat -c %a m/f; umount m'; (cd t && getfacl -n f d) | diff - shown
            """)
        #expect(shown == "660\n")
    }
}
