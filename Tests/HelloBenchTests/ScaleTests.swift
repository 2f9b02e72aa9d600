// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct ScaleTests {
    @Test func linearTicksAreRound() {
        let scale = Scale(.linear, 0...97, from: 0, to: 100)
        #expect(scale.ticks(atMost: 5) == [0, 20, 40, 60, 80])
        #expect(scale(97) == 100)
        #expect(scale(-5) == 0)
    }

    @Test func logarithmicTicksAreOneTwoFive() {
        let scale = Scale(.logarithmic, 0.9...120, from: 300, to: 0)
        #expect(scale.ticks(atMost: 8) == [1, 2, 5, 10, 20, 50, 100])
        #expect(scale.ticks(atMost: 3) == [1, 10, 100])
        #expect(abs(Scale(.logarithmic, 1...100, from: 0, to: 100)(10) - 50) < 1e-9)
    }

    @Test func numbersAreBrief() {
        #expect(Format.seconds(0.0042) == "4.2 ms")
        #expect(Format.seconds(0.412) == "412 ms")
        #expect(Format.seconds(12.34) == "12.3 s")
        #expect(Format.bytes(999) == "999 B")
        #expect(Format.bytes(12_345_678) == "12.3 MB")
        #expect(Format.axis(0.5) == "0.5")
        #expect(Format.axis(25_000) == "25k")
        #expect(Format.percent(0.0642) == "6.4 %")
        #expect(Format.link(nil) == "loopback, no limits")
    }

    @Test func markupIsEscaped() {
        #expect(XML.escape("<a & \"b\">\u{1}") == "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}")
    }
}
