// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct LinkShapeTests {
    @Test(arguments: [
        ("1gbit,0.5ms", 1000.0, 0.5), ("100mbit", 100, 0), ("2.5gbit,200us", 2500, 0.2),
        ("512kbit,1s", 0.512, 1000),
        ("10gbit,0ms", 10_000, 0),
    ])
    func widthAndRoundTrip(text: String, megabits: Double, milliseconds: Double) throws {
        let shape = try LinkShape(parsing: text)
        #expect(abs(shape.megabits - megabits) < 1e-9)
        #expect(abs(shape.delayMilliseconds - milliseconds) < 1e-9)
        #expect(
            shape.record == LinkRecord(megabits: shape.megabits, delayMilliseconds: shape.delayMilliseconds))
    }

    @Test(arguments: [
        "", "1gbit,", ",1ms", "fast", "1gbit,0.5ms,1", "-1gbit", "1gbit,-1ms", "0mbit", "1tbit", "nangbit",
        "infmbit",
        "1gbit,11s", "1gbit 1ms", "gbit", "1gbit,ms",
    ])
    func mistakes(text: String) {
        let error = #expect(throws: BenchError.self) { try LinkShape(parsing: text) }
        #expect("\(String(describing: error))".contains("--link '\(text)'"))
    }

    @Test func saysWhatItIs() throws {
        #expect("\(try LinkShape(parsing: "1gbit,0.5ms"))" == "1 Gbit/s, 0.5 ms")
        #expect("\(try LinkShape(parsing: "100mbit"))" == "100 Mbit/s")
    }
}

@Suite struct EngineNameTests {
    @Test func names() throws {
        let names = try EngineName.list(["slacker,containerd", "containerd:native", "soci"])
        #expect(names.map(\.description) == ["slacker", "containerd", "containerd:native", "soci"])
    }

    @Test(arguments: [
        "", "rkt", "containerd:", "containerd:a/b", "Slacker", "slacker,,soci", "slacker,slacker",
    ])
    func mistakes(text: String) {
        #expect(throws: BenchError.self) { try EngineName.list([text]) }
    }
}
