// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import hellobench

@Suite struct ContentMarkTests {
    private func mark(_ pieces: [[UInt8]]) -> [UInt64] {
        var mark = ContentMark()
        for piece in pieces { piece.withUnsafeBytes { mark.add($0) } }
        let value = mark.value
        return [value.0, value.1]
    }

    @Test func howItIsCutDoesNotMatter() {
        let bytes = (0..<100).map { UInt8($0) }
        let whole = mark([bytes])
        for first in [1, 3, 8, 9, 50, 99] {
            #expect(mark([Array(bytes[..<first]), Array(bytes[first...])]) == whole)
        }
    }

    @Test func lengthAndOrderMatter() {
        #expect(mark([[0]]) != mark([[0, 0]]))
        #expect(mark([[]]) != mark([[0]]))
        #expect(mark([[1, 2]]) != mark([[2, 1]]))
        #expect(mark([Array(repeating: 0, count: 8)]) != mark([Array(repeating: 0, count: 16)]))
    }
}

@Suite struct LayerTarTests {
    @Test func numbers() {
        #expect(LayerTar.number(Array("00000001750\0".utf8)[...]) == 1000)
        #expect(LayerTar.number([0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]) == 1 << 33)
        #expect(LayerTar.paxSize(Array("20 mtime=1.5\n12 size=777\n".utf8)) == 777)
        #expect(LayerTar.paxSize(Array("20 path=size=3\n".utf8)) == nil)
    }

    /// Two layers of real tar and gzip: the second has a file of the first and one that shares a block with it.
    @Test func sameFilesAndBlocksAreCountedOnce() throws {
        let directory = try Files.makeTemporaryDirectory(in: "/tmp")
        let commands = Commands(directory: directory)
        defer { _ = try? commands.run(["rm", "-rf", directory]) }
        let script = """
            cd \(directory); mkdir one two; head -c 8192 /dev/urandom >one/a; printf hello >one/b; ln one/a one/c
            cp one/b two/b; head -c 4096 one/a >two/d; head -c 100 /dev/urandom >>two/d; ln -s b two/e; : >two/empty
            tar -C one -czf 1.tar.gz .; tar -C two -cf 2.tar .
            """
        try commands.run(["sh", "-ec", script])
        var dedup = Deduplication()
        for (digest, file) in [("1", "1.tar.gz"), ("2", "2.tar"), ("1", "1.tar.gz")] {
            try dedup.add(digest: digest, packedBytes: 1000) { () throws(BenchError) in
                try ByteStream(unpacking: directory + "/" + file)
            }
        }
        let (first, second) = (8192.0 + 5, 4196.0 + 5)
        let expected: [String: Double] = [
            "plain": 2 * first + second, "gzip": 3000, "image": 2000, "file": 8192 + 5 + 4196,
            "chunk": 8192 + 5 + 100,
        ]
        #expect(dedup.values == expected)
    }

    @Test func aTruncatedLayerIsAnError() throws {
        let directory = try Files.makeTemporaryDirectory(in: "/tmp")
        let commands = Commands(directory: directory)
        defer { _ = try? commands.run(["rm", "-rf", directory]) }
        let script = "cd \(directory); head -c 5000 /dev/urandom >a; tar -cf - a | head -c 3000 >1.tar"
        try commands.run(["sh", "-ec", script])
        let stream = try ByteStream(unpacking: directory + "/1.tar")
        #expect(throws: BenchError.self) { try LayerTar(stream).forEachFile(piece: { _ in }, end: {}) }
    }
}

@Suite struct PullShareTests {
    @Test func sharesFromMedians() throws {
        var results = try Results(text: "", name: "empty")
        func add(_ image: String, _ op: hellobench.Operation, _ seconds: Double, cold: Bool = true) {
            results.samples.append(
                SampleRecord(
                    run: "a", round: 1, image: image, category: "other", engine: "containerd", op: op,
                    cold: cold,
                    seconds: seconds, receivedBytes: 0, sentBytes: 0, status: .ok))
        }
        for seconds in [2.0, 3, 100] { add("one", .pull, seconds) }
        add("one", .run, 1)
        add("one", .run, 50, cold: false)
        add("two", .pull, 1)
        add("two", .run, 3)
        add("three", .pull, 1)
        let records = PullShare.records(results)
        #expect(records.map(\.image) == ["one", "two", nil])
        #expect(records.map { $0.values["containerd"] } == [0.75, 0.25, 0.5])
    }
}
