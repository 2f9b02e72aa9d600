// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct ComparisonTests {
    private let comparison = Comparison.all(of: Example.results.samples)[0]

    @Test func operationsAddUpRoundByRound() {
        let seconds = comparison.seconds(.deployment, image: "gcc", engine: "slacker")
        #expect(seconds.map { ($0 * 1000).rounded() } == [380, 400, 420])
    }

    @Test func aRoundWithAFailureDoesNotCount() {
        let image = Example.images[2]
        #expect(comparison.seconds(.deployment, image: image, engine: "containerd").isEmpty)
        #expect(comparison.seconds(.pull, image: image, engine: "containerd").count == 3)
        #expect(
            comparison.speedups(.deployment, of: "slacker", over: "containerd").map(\.image) == [
                "alpine", "gcc",
            ])
    }

    @Test func whatWasMeasuredAgainCountsOnce() {
        var samples = Example.results.samples
        var again = samples[0]
        again.seconds = 99
        samples.append(again)
        let comparison = Comparison.all(of: samples)[0]
        let measure = Measure(cycle: again.cycle ?? .deployment, operations: [again.op])
        let seconds = comparison.seconds(measure, image: again.image, engine: again.engine)
        #expect(seconds.count == 3)
        #expect(seconds[0] == 99)
    }

    @Test func linksAndCachesAreKeptApart() {
        var samples = Example.results.samples
        for index in samples.indices where samples[index].round == 2 { samples[index].cold = false }
        for index in samples.indices where samples[index].round == 3 { samples[index].link = nil }
        let names = Comparison.all(of: samples).map(\.conditions.name)
        #expect(
            names == [
                "cold, 1 Gbit/s, 0.5 ms round trip", "warm, 1 Gbit/s, 0.5 ms round trip",
                "cold, loopback, no limits",
            ])
    }

    @Test func targetsAreHeldAgainstTheMedian() throws {
        let verdicts = Verdict.all(of: [comparison]).map(\.verdict)
        #expect(verdicts.map(\.target.engine) == ["containerd", "stargz", "containerd"])
        #expect(verdicts.map(\.isMet) == [false, true, false])
        #expect(verdicts[0].below == ["alpine", "gcc"])
        #expect(verdicts[0].slower.isEmpty)
        #expect(abs(verdicts[0].statistics.median - 10) < 1e-9)
    }

    @Test func oursComesFirst() {
        #expect(
            EngineOrder.ordered(["soci", "containerd", "soci", "slacker"]) == [
                "slacker", "containerd", "soci",
            ])
    }
}
