// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import hellobench

@Suite struct ResultsTests {
    /// Removes what it holds when the test ends.
    private final class Folder {
        let path: String

        init() throws {
            path = try Files.makeTemporaryDirectory(
                in: getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")
        }

        deinit {
            unlink(path + "/r.jsonl")
            rmdir(path)
        }
    }

    @Test func whatIsWrittenIsRead() throws {
        let folder = try Folder()
        let path = folder.path + "/r.jsonl"
        let wanted = Example.results
        var lines: JSONLines? = try JSONLines(path: path)
        for record in wanted.machines { try lines?.write(record) }
        for record in wanted.samples { try lines?.write(record) }
        lines = try JSONLines(path: path, appending: true)
        for record in wanted.timelines { try lines?.write(record) }
        for record in wanted.throughputs { try lines?.write(record) }
        for record in wanted.analyses { try lines?.write(record) }
        for record in wanted.scales { try lines?.write(record) }
        lines = nil
        #expect(try Results(paths: [path]) == wanted)
    }

    @Test func anUnfinishedLineIsCutBeforeMoreIsWritten() throws {
        let folder = try Folder()
        let path = folder.path + "/r.jsonl"
        try Files.write(Array("{\"kind\":\"other\"}\n{\"kind\":\"sam".utf8), to: path)
        #expect(throws: BenchError.self) { try Results(paths: [path]) }
        var lines: JSONLines? = try JSONLines(path: path, appending: true)
        try lines?.write(Example.results.machines[0])
        lines = nil
        let results = try Results(paths: [path])
        #expect(results.machines.count == 1)
        #expect(results.unknown == ["other": 1])
    }

    @Test(arguments: [
        ("{\"kind\":\"machine\"", "r: line 1: not JSON; the line is not finished, remove it"),
        ("{\"kind\":\"x\"}\n[]\n", "r: line 2: not a JSON object"),
        ("\n\n{}\n", "r: line 3: the member 'kind' is missing"),
        ("{\"kind\":\"sample\"}\n", "r: line 1: the member 'run' is missing"),
        (
            "{\"kind\":\"timeline\",\"image\":\"a\",\"engine\":\"b\",\"points\":[[1]]}\n",
            "r: line 1: a point is not two numbers from zero up, seconds and bytes"
        ),
        (
            "{\"kind\":\"analysis\",\"name\":\"a\",\"values\":{\"x\":\"y\"}}\n",
            "r: line 1: the member 'values.x' has the wrong type"
        ),
    ])
    func damageIsNamedWithItsLine(text: String, complaint: String) {
        let error = #expect(throws: BenchError.self) { try Results(text: text, name: "r") }
        #expect(error?.description == complaint)
    }

    @Test func operationsAreChecked() {
        let sample = """
            {"kind":"sample","run":"r","round":1,"image":"a","category":"c","engine":"e","op":"copy","cold":true,\
            "seconds":1,"receivedBytes":0,"sentBytes":0,"status":"ok"}
            """
        let error = #expect(throws: BenchError.self) { try Results(text: sample + "\n", name: "r") }
        #expect(error?.description == "r: line 1: the member 'op' has a value that is not known")
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: BenchError.self) { try Results(paths: ["/nowhere/r.jsonl"]) }
        #expect(error?.description == "/nowhere/r.jsonl: open: no such file or directory")
    }
}
