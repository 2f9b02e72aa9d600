// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct RunStepTests {
    @Test func twoEnginesTakeTurns() {
        let steps = RunStep.all(rounds: 2, images: 2, engines: 2)
        #expect(steps.map(\.engine) == [0, 1, 1, 0, 1, 0, 0, 1])
        #expect(steps.map(\.image) == [0, 0, 1, 1, 0, 0, 1, 1])
        #expect(steps.map(\.round) == [1, 1, 1, 1, 2, 2, 2, 2])
    }

    @Test(arguments: 1...4)
    func eachEngineIsInEachPlaceEquallyOften(engines: Int) {
        let steps = RunStep.all(rounds: engines, images: 3, engines: engines)
        #expect(steps.count == engines * 3 * engines)
        for place in 0..<engines {
            let there = stride(from: place, to: steps.count, by: engines).map { steps[$0].engine }
            for engine in 0..<engines { #expect(there.count { $0 == engine } == 3) }
        }
    }

    @Test func nothingToDo() {
        #expect(RunStep.all(rounds: 3, images: 0, engines: 2).isEmpty)
        #expect(RunStep.all(rounds: 3, images: 2, engines: 0).isEmpty)
    }
}

@Suite struct DoneSamplesTests {
    private static let link = LinkRecord(megabits: 1000, delayMilliseconds: 0.5)

    private func sample(
        _ run: String, round: Int = 1, op: hellobench.Operation = .run, cold: Bool = true,
        cycle: Cycle? = nil,
        link: LinkRecord? = link, status: Outcome = .ok
    ) -> SampleRecord {
        SampleRecord(
            run: run, round: round, image: "redis", category: "database", engine: "slacker", op: op,
            cycle: cycle,
            cold: cold, link: link, seconds: 1, receivedBytes: 0, sentBytes: 0, status: status)
    }

    private func done(_ samples: [SampleRecord], cycle: Cycle = .deployment) throws -> DoneSamples {
        var results = try Results(text: "", name: "empty")
        results.samples = samples
        return DoneSamples(results, cycle: cycle, link: Self.link)
    }

    private func key(round: Int = 1, op: hellobench.Operation = .run, cold: Bool = true) -> DoneSamples.Key {
        DoneSamples.Key(round: round, image: "redis", engine: "slacker", op: op, cold: cold)
    }

    @Test func whatIsThereIsLeftOut() throws {
        let done = try done([sample("a"), sample("a", op: .pull), sample("a", round: 2, status: .failed)])
        #expect(done.run == "a")
        #expect(done.holds(key()))
        #expect(done.holds(key(op: .pull)))
        #expect(done.holds(key(round: 2)))
        #expect(!done.holds(key(round: 3)))
        #expect(!done.holds(key(cold: false)))
        #expect(!done.holds(key(op: .push)))
    }

    @Test func onlyTheLastRunOfThatKindCounts() throws {
        let done = try done([
            sample("old", round: 5), sample("new"), sample("develop", round: 2, cycle: .development),
            sample("elsewhere", round: 3, link: nil),
        ])
        #expect(done.run == "new")
        #expect(done.holds(key()))
        for round in [2, 3, 5] { #expect(!done.holds(key(round: round))) }
    }

    @Test func anEmptyFileHoldsNothing() throws {
        let done = try done([])
        #expect(done.run == nil)
        #expect(!done.holds(key()))
    }
}
