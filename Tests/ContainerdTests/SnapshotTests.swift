// SPDX-License-Identifier: Apache-2.0

import Base
import GRPCCore
import Glibc
import SwiftProtobuf
import Testing

@testable import Containerd

/// What containerd's own suite asks of every snapshotter, through a socket, with real mounts.
@Suite(WithLab(), .serialized) struct SnapshotTests {
    /// Each test has keys of its own.
    private func withSnapshots(_ body: (Snapshots) async throws -> Void) async throws {
        try await body(try Snapshots(try #require(Lab.current)))
    }

    @Test func layersShowTheUnionOfWhatWasDoneInThem() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer(
                "base", "echo 1 >foo; mkdir -p a/b; echo x >a/b/bar; mkfifo p; ln -s foo link")
            let second = try await snapshots.prepare("base-2", on: "base")
            #expect(try shell("cat foo a/b/bar; readlink link; test -p p", in: second) == "1\nx\nfoo\n")
            try shell("echo 2 >foo; rm a/b/bar; mkdir c", in: second)
            try await snapshots.commit("base-2", as: "next")
            let view = try await snapshots.view("base-view", of: "next")
            #expect(try shell("cat foo; ls a/b; test -d c; ls", in: view) == "2\na\nc\nfoo\nlink\np\n")
            // The parent is as it was.
            let old = try await snapshots.view("base-old", of: "base")
            #expect(try shell("cat foo a/b/bar", in: old) == "1\nx\n")
        }
    }

    @Test func aFreshSnapshotIsEmptyAndItsRootIsReadableForAll() async throws {
        try await withSnapshots { snapshots in
            let directory = try await snapshots.prepare("fresh")
            #expect(try shell("ls -A; stat -c %a:%u:%g .", in: directory) == "755:0:0\n")
            let view = try await snapshots.view("fresh-view")
            #expect(try shell("ls -A", in: view) == "")
        }
    }

    @Test func viewsCannotBeWritten() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("ro", "echo a >f")
            let view = try await snapshots.view("ro-view", of: "ro")
            let result = try Subprocess.run(["touch", view + "/g"])
            #expect(!result.succeeded && result.errors.contains("Read-only"))
            await expectStatus(.failedPrecondition) { try await snapshots.commit("ro-view", as: "ro-2") }
        }
    }

    @Test func ownersModesTimesAndAttributesStay() async throws {
        try await withSnapshots { snapshots in
            let look =
                "stat -c '%n %a %u:%g %Y %s' d d/f d/s; getfattr --absolute-names -n user.x --only-values d/f"
            let make = """
                mkdir d; echo hello >d/f; touch d/s; chmod 4755 d/s; chmod 1777 d; chown 12:34 d/f
                setfattr -n user.x -v y d/f; touch -d @1000000000 d/f d/s d
                """
            let first = try await snapshots.prepare("modes")
            try shell(make, in: first)
            let expected = try shell(look, in: first)
            try await snapshots.commit("modes", as: "modes-1")
            let second = try await snapshots.prepare("modes-2", on: "modes-1")
            #expect(try shell(look, in: second) == expected)
            try shell("chown 5:6 d/f; chmod 700 d", in: second)
            try await snapshots.commit("modes-2", as: "modes-3")
            let view = try await snapshots.view("modes-4", of: "modes-3")
            #expect(try shell("stat -c '%a %u:%g' d d/f", in: view) == "700 0:0\n644 5:6\n")
        }
    }

    @Test func permissionsOfTheRootStay() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("rootmode", "chmod 711 .; chown 7:8 .")
            let next = try await snapshots.prepare("rootmode-2", on: "rootmode")
            #expect(try shell("stat -c %a:%u:%g .", in: next) == "711:7:8\n")
        }
    }

    @Test func hardLinksStayLinks() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("links", "echo 1 >a; ln a b; mkdir d; ln a d/c")
            let next = try await snapshots.prepare("links-2", on: "links")
            #expect(try shell("stat -c %h a b d/c; echo 2 >b; cat a d/c", in: next) == "3\n3\n3\n2\n2\n")
            try shell("rm a", in: next)
            try await snapshots.commit("links-2", as: "links-3")
            let view = try await snapshots.view("links-4", of: "links-3")
            #expect(try shell("stat -c %h b; ls", in: view) == "2\nb\nd\n")
        }
    }

    @Test func directoriesOfLowerLayersAreRenamedAndRemoved() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer(
                "dirs", "mkdir -p x/y z/w; echo 1 >x/y/f; echo 2 >z/w/g; echo 3 >top")
            let second = try await snapshots.prepare("dirs-2", on: "dirs")
            try shell(
                "mv x renamed; rm -r z; mv top renamed/moved; mkdir z; echo new >z/only", in: second)
            try await snapshots.commit("dirs-2", as: "dirs-3")
            let third = try await snapshots.prepare("dirs-4", on: "dirs-3")
            #expect(
                try shell("find . -type f | sort | xargs cat; ls", in: third) == "3\n1\nnew\nrenamed\nz\n"
            )
            // A file in place of a directory, and the other way round.
            try shell("rm -r z; echo file >z; rm renamed/moved; mkdir renamed/moved", in: third)
            try await snapshots.commit("dirs-4", as: "dirs-5")
            let view = try await snapshots.view("dirs-6", of: "dirs-5")
            #expect(try shell("cat z; test -d renamed/moved; cat renamed/y/f", in: view) == "file\n1\n")
        }
    }

    @Test func aChainOf128LayersIsAsGoodAsOne() async throws {
        try await withSnapshots { snapshots in
            var parent = ""
            for index in 1...128 {
                try await snapshots.layer(
                    "deep-\(index)", on: parent,
                    "echo \(index) >last; echo \(index) >f\(index); rm -f f\(index - 64)")
                parent = "deep-\(index)"
            }
            let view = try await snapshots.view("deep-view", of: parent)
            #expect(try shell("cat last; ls | wc -l; cat f65 f128", in: view) == "128\n65\n65\n128\n")
        }
    }

    @Test func aLayerInTheMiddleGoesOnlyAfterThoseOnIt() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("mid-1", "echo 1 >a")
            try await snapshots.layer("mid-2", on: "mid-1", "echo 2 >b")
            try await snapshots.layer("mid-3", on: "mid-2", "echo 3 >c")
            _ = try await snapshots.view("mid-4", of: "mid-3")
            for key in ["mid-1", "mid-2", "mid-3"] {
                await expectStatus(.failedPrecondition) { try await snapshots.remove(key) }
            }
            for key in ["mid-4", "mid-3", "mid-2", "mid-1"] { try await snapshots.remove(key) }
            #expect(try await snapshots.list("name~=^mid").isEmpty)
        }
    }

    @Test func statTellsKindsParentsAndTimes() async throws {
        try await withSnapshots { snapshots in
            _ = try await snapshots.prepare("stat", labels: ["a": "1"])
            let active = try await snapshots.stat("stat")
            #expect(active.kind == .active && active.parent == "" && active.labels == ["a": "1"])
            #expect(active.createdAt == active.updatedAt && active.createdAt.seconds > 1_700_000_000)
            // Labels are those of the commit alone.
            try await snapshots.commit("stat", as: "stat-1", labels: ["b": "2"])
            let committed = try await snapshots.stat("stat-1")
            #expect(committed.kind == .committed && committed.labels == ["b": "2"])
            await expectStatus(.notFound) { _ = try await snapshots.stat("stat") }
            _ = try await snapshots.view("stat-2", of: "stat-1")
            let view = try await snapshots.stat("stat-2")
            #expect(view.kind == .view && view.parent == "stat-1")
        }
    }

    @Test func updateChangesLabelsAndNothingElse() async throws {
        try await withSnapshots { snapshots in
            _ = try await snapshots.prepare("update", labels: ["a": "1", "b": "2"])
            let created = try await snapshots.stat("update")
            var info = try await snapshots.update(
                "update", labels: ["a": "x", "c": "3"], paths: ["labels.a"])
            #expect(info.labels == ["a": "x", "b": "2"] && info.createdAt == created.createdAt)
            #expect(info.updatedAt != created.updatedAt)
            info = try await snapshots.update(
                "update", labels: ["a": ""], paths: ["labels.a", "labels.none"])
            #expect(info.labels == ["b": "2"])
            info = try await snapshots.update("update", labels: ["d": "4"], paths: ["labels"])
            #expect(info.labels == ["d": "4"])
            info = try await snapshots.update("update", labels: ["e": "5"])
            #expect(info.labels == ["e": "5"])
            #expect(try await snapshots.stat("update").labels == ["e": "5"])
            await expectStatus(.invalidArgument) {
                _ = try await snapshots.update("update", labels: [:], paths: ["kind"])
            }
            await expectStatus(.notFound) { _ = try await snapshots.update("update-none", labels: [:]) }
        }
    }

    @Test func listsAreFiltered() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("list-1", "true", labels: ["tier": "low"])
            try await snapshots.layer("list-2", on: "list-1", "true")
            _ = try await snapshots.prepare("list-3", on: "list-2", labels: ["tier": "top"])
            _ = try await snapshots.view("list-4", of: "list-2")
            #expect(try await snapshots.list("name~=^list-") == ["list-1", "list-2", "list-3", "list-4"])
            #expect(try await snapshots.list("parent==list-2") == ["list-3", "list-4"])
            #expect(try await snapshots.list("labels.tier,name~=^list") == ["list-1", "list-3"])
            #expect(try await snapshots.list("name==list-4", "labels.tier==low") == ["list-1", "list-4"])
            #expect(try await snapshots.list("kind==view,parent==list-2") == ["list-4"])
            #expect(try await snapshots.list().count >= 4)
            await expectStatus(.invalidArgument) { _ = try await snapshots.list("name=") }
        }
    }

    @Test func usageCountsWhatASnapshotAdds() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("usage-1", "head -c 4M /dev/urandom >big; touch a b c")
            let first = try await snapshots.usage("usage-1")
            #expect(first.bytes >= 4 << 20 && first.bytes < 12 << 20 && first.inodes == 4)
            let directory = try await snapshots.prepare("usage-2", on: "usage-1")
            let untouched = try await snapshots.usage("usage-2")
            #expect(untouched.bytes < 1 << 20 && untouched.inodes == 0)
            try shell("head -c 1M /dev/urandom >more; sync -f .", in: directory)
            let second = try await snapshots.usage("usage-2")
            #expect(second.bytes >= 1 << 20 && second.bytes < 4 << 20 && second.inodes == 1)
            try await snapshots.commit("usage-2", as: "usage-3")
            let third = try await snapshots.usage("usage-3")
            #expect(third.bytes >= 1 << 20 && third.bytes < 4 << 20 && third.inodes == 1)
            _ = try await snapshots.view("usage-4", of: "usage-3")
            let view = try await snapshots.usage("usage-4")
            #expect(view.bytes == 0 && view.inodes == 0)
        }
    }

    @Test func aLabelSaysHowLargeASnapshotMayGrow() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("size-1", "echo 1 >a")
            let directory = try await snapshots.prepare(
                "size-2", on: "size-1", labels: [SnapshotLabels.size: "256M"])
            let blocks = try shell("stat -f -c '%b %S' .", in: directory).split {
                $0 == " " || $0 == "\n"
            }
            #expect((Int(blocks[0]) ?? 0) * (Int(blocks[1]) ?? 0) < 256 << 20)
            #expect(try shell("cat a", in: directory) == "1\n")
            let full = try Subprocess.run([
                "dd", "if=/dev/zero", "of=\(directory)/big", "bs=1M", "count=300",
            ])
            #expect(!full.succeeded && full.errors.contains("No space left"))
            await expectStatus(.invalidArgument) {
                _ = try await snapshots.prepare("size-3", labels: [SnapshotLabels.size: "big"])
            }
            await expectStatus(.notFound) { _ = try await snapshots.stat("size-3") }
        }
    }
}
