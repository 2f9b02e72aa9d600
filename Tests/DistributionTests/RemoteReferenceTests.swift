// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Distribution

@Suite("Remote references")
struct RemoteReferenceTests {
    @Test(
        "are read and written back",
        arguments: [
            ("registry.example.test/team/app:1", "registry:registry.example.test/team/app"),
            ("s3://bucket/prefix?region=x#app:1", "s3://bucket/prefix?region=x"),
            ("dir:/srv/images#team/app", "dir:/srv/images"),
            ("https://www.example.test/images/#app", "https://www.example.test/images/"),
        ])
    func good(text: String, source: String) throws {
        let reference = try RemoteReference(parsing: text)
        #expect("\(reference)" == text && reference.sourceURI == source)
    }

    @Test(
        "that make no sense are refused",
        arguments: [
            "", "s3://bucket", "s3://#x", "dir:relative#x", "dir:/a#", "dir:/a#../x", "dir:/a#x//y",
            "dir:/a#.x",
            "https://user:secret@www.example.test/#x", "http://www.example.test/#a b", "dir:/a\n#x",
            "UPPER/x",
        ])
    func bad(text: String) {
        #expect(throws: DistributionError.self) { try RemoteReference(parsing: text) }
    }

    @Test("a policy trusts what lies below its entries and nothing beside them")
    func policy() throws {
        let policy = BlockImagePolicy.places([
            "registry.example.test/team", "s3://bucket/a", "other.example.test",
        ])
        func trusts(_ text: String) throws -> Bool { policy.isTrusted(try RemoteReference(parsing: text)) }
        for good in [
            "registry.example.test/team/app:1", "other.example.test/x", "s3://bucket/a/b#x",
            "s3://bucket/a?region=x#x",
        ] {
            #expect(try trusts(good), "\(good)")
        }
        for bad in [
            "registry.example.test/teams/app", "registry.example.test/x", "s3://bucket/ab#x",
            "other.example.test.evil.test/x",
        ] {
            #expect(try !trusts(bad), "\(bad)")
        }
    }
}
