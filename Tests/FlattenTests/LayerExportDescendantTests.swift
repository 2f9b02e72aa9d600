// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Flatten
import Glibc
import OCI
import Testing

/// Layers of volumes that the kernel wrote to: changed blocks tell what changed.
@Suite(.timeLimit(.minutes(5))) struct LayerExportDescendantTests {
    private static let descendant = LayerExport.Options(compression: .none, isDescendant: true)

    /// Both ways to find what changed must give layers that show the tree; returns the names in the first.
    private func expectLayer(_ script: String) throws -> [String] {
        let fixture = try Fixture()
        let (before, after) = try fixture.changed([LayerExportTests.base], by: script)
        let (_, quick) = try fixture.export(base: before, top: after, Self.descendant)
        let (_, slow) = try fixture.export(base: before, top: after)
        for bytes in [quick, slow] {
            let both = try fixture.flatten(Fixture.image([LayerExportTests.base, bytes])).map
            try fixture.expectEqual(both, after)
        }
        try fixture.expectUnion([LayerExportTests.base, quick])
        return try fixture.names(in: quick)
    }

    @Test func oneNewFile() throws {
        #expect(try expectLayer("echo new > etc/new") == ["./", "etc/", "etc/new"])
    }

    /// The directory is as it was, so its name is found by a walk.
    @Test func aFileChangedInPlace() throws {
        let names = try expectLayer("echo more >> untouched/deep/file")
        #expect(names == ["./", "untouched/", "untouched/deep/", "untouched/deep/file"])
    }

    /// A write that puts the times back shows in the change time and in the blocks.
    @Test func aFileChangedBehindItsTime() throws {
        let names = try expectLayer(
            """
            touch -r untouched/deep/file ../stamp
            printf X | dd of=untouched/deep/file bs=1 seek=5000 conv=notrunc status=none
            touch -r ../stamp untouched/deep/file
            """)
        #expect(names == ["./", "untouched/", "untouched/deep/", "untouched/deep/file"])
    }

    @Test func readingChangesNothing() throws {
        #expect(try expectLayer("cat etc/keep untouched/deep/file > /dev/null; ls -R > /dev/null") == [])
    }

    @Test func everythingAtOnce() throws {
        _ = try expectLayer(
            """
            rm -r gone opaque; mkdir opaque; echo again > opaque/new; rm emptied/only; rmdir emptied
            mv etc/keep etc/kept; rm etc/removed; mkdir etc/removed; echo x > etc/removed/x
            chmod 4711 etc/replaced; chown 70000:80000 etc/replaced; setfattr -n user.k -v v etc/replaced
            setfacl -m u:1234:rw,g:55:r,m::rw etc/kept; setcap cap_net_raw+ep etc/replaced
            ln links/a links/more; rm links/pair1; ln -s loop loop; mkfifo fifo; mknod dev c 300 70000
            mkdir -p a/b/c/d; truncate -s 3M a/b/c/d/hole; printf end >> a/b/c/d/hole
            dd if=/dev/urandom of=a/big bs=1M count=3 status=none; : > a/empty
            for i in $(seq 400); do : > a/b/long-name-of-a-file-that-is-one-of-many-$i; done
            ln -s $(printf '%0200d' 7) long; touch -d '1960-01-01 00:00:00' a/old
            python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
            mv untouched moved
            """)
    }

    @Test func linksAcrossUntouchedDirectories() throws {
        let names = try expectLayer("chmod 600 links/a")
        #expect(names.filter { !$0.hasSuffix("/") } == ["links/a", "links/b", "untouched/c"])
        #expect(try expectLayer("mv links/a links/z; mv links/z links/y").contains("untouched/c"))
        #expect(try expectLayer("rm links/b").filter { !$0.hasSuffix("/") } == ["links/.wh.b"])
        _ = try expectLayer("rm links/a; cp -p links/b links/a")
        _ = try expectLayer("rm links/pair1 links/pair2; echo pair > links/pair1; echo pair > links/pair2")
    }

    /// Data of unchanged files may lie in chunks that are not here.
    @Test func unchangedFilesAreNotRead() throws {
        let fixture = try Fixture()
        let (before, after) = try fixture.changed([LayerExportTests.base], by: "echo new > etc/new")
        let (base, top) = (StoredBlocks(before, fixture.store), StoredBlocks(after, fixture.store))
        let file = try File(open: fixture.path + "/layer", O_RDWR | O_CREAT)
        _ = try LayerExport.run(
            base: try ExportTree("base", blocks: base, map: before),
            top: try ExportTree("top", blocks: top, map: after), options: Self.descendant, to: file)
        let reader = try Reader(StoredBlocks(after, fixture.store))
        for name in ["untouched/deep/file", "untouched/deep", "links/a"] {
            let inode = try reader.lookup(Array(name.utf8))
            for run in try reader.runs(of: inode) {
                for block in run.start..<run.start + run.count {
                    #expect(!top.readBlocks.contains(block) && !base.readBlocks.contains(block), "\(name)")
                }
            }
        }
    }

    @Test func aFileSystemThatDiedIsRefused() throws {
        let fixture = try Fixture()
        let image = try fixture.writeImage(try fixture.flatten(Fixture.image([LayerExportTests.base])).map)
        // The mark of a journal in use, as a machine that died leaves it (feature recover, at 0x60).
        let file = try File(open: image, O_RDWR)
        var word = try file.read(count: 1, at: 1024 + 0x60)
        word[0] |= 4
        try file.write(word, at: 1024 + 0x60)
        let map = try fixture.cut(image)
        do {
            _ = try fixture.tree(map, name: "volume web")
            Issue.record("was accepted")
        } catch let error as FlattenError {
            #expect(error.description.contains("volume web"))
            #expect(error.description.contains("journal is not replayed; mount the file system once"))
        }
    }

    /// FIFREEZE empties the journal, so that a snapshot taken under it needs no replay.
    @Test func aFrozenFileSystemNeedsNoReplay() throws {
        let fixture = try Fixture()
        let image = try fixture.writeImage(try fixture.flatten(Fixture.image([LayerExportTests.base])).map)
        try fixture.shell(
            """
            mkdir -p mounted; timeout 100 unshare -m sh -euc 'mount --make-rprivate /
            mount -o loop \(image) mounted; echo new > mounted/etc/new; fsfreeze -f mounted
            cp --sparse=always \(image) frozen; fsfreeze -u mounted; umount mounted'
            """)
        let frozen = try fixture.cut(fixture.path + "/frozen")
        #expect(try fixture.items(frozen)[Array("etc/new".utf8)]?.sizeBytes == 4)
    }

    @Test func whatALayerCannotSayIsRefused() throws {
        let fixture = try Fixture()
        let (before, after) = try fixture.changed([LayerExportTests.base], by: "echo x > etc/.wh.keep")
        do {
            _ = try fixture.export(base: before, top: after, Self.descendant)
            Issue.record("was accepted")
        } catch let error as FlattenError {
            #expect(error.description.contains("/etc/.wh.keep: cannot become part of a layer"))
        }
    }
}
