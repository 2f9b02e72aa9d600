// SPDX-License-Identifier: Apache-2.0

import HTTP
import Testing

@testable import OCI

@Suite("What registries say in headers and bodies")
struct ChallengeTests {
    @Test("one challenge with quoted and bare values, and escapes")
    func single() {
        let line =
            #"Bearer realm="https://auth.example.test/token", service=registry , "#
            + #"scope="a:b:pull,push", x="a\"b,c""#
        #expect(
            Challenge.parse([line]) == [
                Challenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.example.test/token", "service": "registry",
                        "scope": "a:b:pull,push", "x": "a\"b,c",
                    ])
            ])
    }

    @Test("several challenges in one line and in several")
    func several() {
        let found = Challenge.parse([
            #"Negotiate, Basic realm="one", charset="UTF-8", BEARER Realm="two""#,
            "Negotiate a87421000492aa==, NTLM",
            "Digest",
        ])
        #expect(found.map(\.scheme) == ["negotiate", "basic", "bearer", "negotiate", "ntlm", "digest"])
        #expect(found[1].parameters == ["realm": "one", "charset": "UTF-8"])
        #expect(found[2].parameters == ["realm": "two"])
    }

    @Test(
        "malformed headers give what can be understood",
        arguments: [
            ("", 0), (",,, ,", 0), ("=", 0), ("Bearer realm=\"open", 1), ("\"x\"", 0), ("Basic realm", 1),
            ("Bearer =x", 1),
        ])
    func malformed(line: String, count: Int) {
        #expect(Challenge.parse([line]).count == count)
    }

    @Test func scopes() {
        let pull = ScopeSet(repository: "a/b", ["pull"])
        let both = pull.union(
            ScopeSet(parsing: "repository:a/b:push,pull registry:catalog:* nonsense repository:c:pull"))
        #expect(both.description == "registry:catalog:* repository:a/b:pull,push repository:c:pull")
        #expect(both.covers(pull))
        #expect(!pull.covers(both))
        #expect(pull.covers(ScopeSet()))
        #expect(both.covers(ScopeSet(parsing: "registry:catalog:anything")))
        #expect(
            ScopeSet(parsing: "repository:host:5000/x:pull").covers(
                ScopeSet(repository: "host:5000/x", ["pull"])))
    }

    @Test func addresses() throws {
        let base = try #require(WebAddress("HTTPS://Registry.Example.Test:443/v2/a?x=1#f"))
        #expect(base.description == "https://registry.example.test:443/v2/a?x=1")
        #expect(base.isSameOrigin(as: try #require(WebAddress("https://registry.example.test/other"))))
        #expect(!base.isSameOrigin(as: try #require(WebAddress("http://registry.example.test:443/v2/a"))))
        let table = [
            ("/b?c", "https://registry.example.test:443/b?c"),
            ("b", "https://registry.example.test:443/v2/b"),
            ("//other.test/x", "https://other.test/x"), ("http://other.test", "http://other.test/"),
            ("?y=2", "https://registry.example.test:443/v2/a?y=2"),
        ]
        for (location, expected) in table { #expect(base.resolving(location)?.description == expected) }
        for bad in [
            "file:///etc/passwd", "javascript:x", "http://user:word@host/", "http://a b/", "http://",
            "ftp://a",
        ] {
            #expect(base.resolving(bad) == nil, "\(bad)")
        }
        for (text, loopback) in [
            ("http://127.0.0.1:5000/", true), ("http://[::1]:5000/", true), ("http://localhost/", true),
            ("http://127.evil.test/", false), ("http://10.0.0.1/", false),
        ] {
            #expect(WebAddress(text)?.isLoopback == loopback, "\(text)")
        }
        #expect(WebAddress("http://[::1]:5000/")?.port == 5000)
        #expect(base.redacted == "https://registry.example.test:443/v2/a?…")
    }

    @Test func retryAfter() {
        func seconds(_ text: String?) -> Double? {
            let headers = text.map { [(name: "retry-after", value: $0)] } ?? []
            return RetryAfter.seconds(
                Response(status: 429, headers: headers, body: []), now: 784_111_777 - 30)
        }
        #expect(seconds("7") == 7)
        #expect(seconds("Sun, 06 Nov 1994 08:49:37 GMT") == 30)
        #expect(seconds("Sun, 06 Nov 1993 08:49:37 GMT") == 0)
        for text in [nil, "", "soon", "-1", "nan", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            #expect(seconds(text) == nil)
        }
    }

    @Test func errorBodies() {
        func text(_ body: String) -> String {
            ErrorBody.text(Response(status: 418, headers: [], body: Array(body.utf8)))
        }
        #expect(
            text(#"{"errors":[{"code":"DENIED","message":"no","detail":{"a":[1]}},{"code":"X"}]}"#)
                == "DENIED: no; X")
        #expect(text(#"{"details":"incorrect username or password"}"#) == "incorrect username or password")
        #expect(text("plain words\nmore") == "plain words")
        #expect(text("<html><body>oops") == "status 418")
        #expect(text("") == "status 418")
        #expect(text("a\u{1B}[2Jb") == "a\\u{001B}[2Jb" || !text("a\u{1B}[2Jb").contains("\u{1B}"))
    }

    @Test("how long an address of a storage service is believed")
    func signedAddresses() throws {
        func seconds(_ query: String) throws -> Double {
            SignedAddress.validSeconds(try #require(WebAddress("https://storage.example.test/x" + query)))
        }
        #expect(try seconds("?X-Amz-Date=20260101T000000Z&X-Amz-Expires=1200&X-Amz-Signature=0") == 1080)
        #expect(try seconds("?X-Goog-Expires=100") == 90)
        #expect(try seconds("?se=2026-01-01") == SignedAddress.usualSeconds)
        #expect(try seconds("") == SignedAddress.usualSeconds)
    }
}
