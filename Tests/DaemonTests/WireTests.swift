// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Daemon

@Suite("Wire types")
struct WireTests {
    @Test(
        "timestamps",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ])
    func timestamps(seconds: Int64, text: String) {
        #expect(Timestamp.text(seconds) == text)
    }

    @Test(
        "broken requests are explained",
        arguments: [
            ("", "not valid json"), ("{", "not valid json"), ("[]", "wrong type"),
            ("{}", "'source' is missing"),
            (#"{"source": 1, "name": "x"}"#, "'source' has the wrong type"),
            (#"{"source": "x"}"#, "'name' is missing"),
        ])
    func brokenRequests(text: String, words: String) throws {
        let failure = #expect(throws: Failure.self) { try JSON.decode(ImportRequest.self, text.utf8) }
        #expect(failure?.code == .invalid)
        #expect(failure?.message.contains(words) == true, "\(failure?.message ?? "")")
    }

    @Test("an internal request survives its way to the child")
    func internalRequests() throws {
        let jobs = [UnmountJob(directory: "/a b", lazily: true, remove: false)]
        let bytes = try JSON.encode(InternalRequest.unmount(jobs))
        #expect(!bytes.contains(UInt8(ascii: "\n")))
        guard case .unmount(let again) = try JSON.decode(InternalRequest.self, bytes) else {
            Issue.record("another request came back")
            return
        }
        #expect(again.map(\.directory) == ["/a b"])
        #expect(again[0].lazily)
    }

    @Test("every code has an error status", arguments: Failure.Code.allCases)
    func statuses(code: Failure.Code) {
        #expect((400..<600).contains(code.httpStatus))
    }
}
