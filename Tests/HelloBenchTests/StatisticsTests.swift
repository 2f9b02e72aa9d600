// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct StatisticsTests {
    @Test func medianIsTheMiddle() {
        #expect(Statistics([3, 1, 2]).median == 2)
        #expect(Statistics([4, 1, 3, 2]).median == 2.5)
        #expect(Statistics([7]).median == 7)
    }

    @Test func quantilesLieBetweenSamples() {
        let statistics = Statistics([10, 20, 30, 40, 50])
        #expect(statistics.quantile(0) == 10)
        #expect(statistics.quantile(0.5) == 30)
        #expect(statistics.quantile(0.1) == 14)
        #expect(statistics.quantile(1) == 50)
        #expect(statistics.quantile(7) == 50)
    }

    /// Ranks and coverages as tables of the binomial distribution have them.
    @Test(arguments: [
        (1, 1, 0.0), (3, 1, 0.75), (5, 1, 0.9375), (6, 1, 0.96875), (9, 2, 0.9609375), (10, 2, 0.978515625),
        (34, 11, 0.9757), (100, 40, 0.9648),
    ])
    func intervalOfTheMedian(count: Int, rank: Int, coverage: Double) {
        let interval = Statistics((1...count).map { Double($0) }).medianInterval
        #expect(interval.low == Double(rank))
        #expect(interval.high == Double(count + 1 - rank))
        #expect(abs(interval.coverage - coverage) < 0.0001)
    }

    @Test func intervalOfManySamplesIsNarrow() {
        let interval = Statistics((0..<100_000).map { Double($0) }).medianInterval
        #expect(interval.low > 49_600 && interval.high < 50_400)
        #expect(interval.coverage >= 0.95 && interval.coverage < 0.951)
    }

    @Test func geometricMeanIsForRatios() throws {
        let mean = try #require(Statistics([1, 10, 100]).geometricMean)
        #expect(abs(mean - 10) < 1e-9)
        #expect(Statistics([0, 1]).geometricMean == nil)
    }

    @Test func distributionEndsAtOne() {
        let steps = Statistics([5, 1, 5, 2]).distribution
        #expect(steps.map(\.value) == [1, 2, 5, 5])
        #expect(steps.map(\.share) == [0.25, 0.5, 0.75, 1])
    }
}
