// SPDX-License-Identifier: Apache-2.0

/// One cycle of one engine with one image, as it stands in the order of a run.
struct RunStep: Equatable, Sendable {
    /// Counts from 1.
    let round: Int
    /// Index into the images of the run.
    let image: Int
    /// Index into the engines of the run.
    let engine: Int

    /// All steps of a run: in each round every image, and with each image every engine, one after the other.
    ///
    /// Who begins changes from one image to the next and from one round to the next, so that whatever drifts
    /// hits all alike: A B, B A, A B, … with two; with more, each is once in each place before it starts
    /// over.
    static func all(rounds: Int, images: Int, engines: Int) -> [RunStep] {
        var steps: [RunStep] = []
        for round in 0..<rounds {
            for image in 0..<images {
                let turn = round + image
                for place in 0..<engines {
                    let engine = engines == 0 ? 0 : (place + turn) % engines
                    steps.append(RunStep(round: round + 1, image: image, engine: engine))
                }
            }
        }
        return steps
    }
}

/// Which samples a results file holds already.
struct DoneSamples: Sendable {
    /// What tells a sample from all others of a run.
    struct Key: Hashable, Sendable {
        let round: Int
        let image: String
        let engine: String
        let op: Operation
        let cold: Bool
    }

    /// The run that is gone on with; nil when there is none in the file.
    let run: String?
    private let keys: Set<Key>

    static let none = DoneSamples(run: nil, keys: [])

    private init(run: String?, keys: Set<Key>) {
        self.run = run
        self.keys = keys
    }

    /// The samples of the last run in `results` that was of the same cycle over the same link.
    init(_ results: Results, cycle: Cycle, link: LinkRecord?) {
        let alike = results.samples.filter { ($0.cycle ?? .deployment) == cycle && $0.link == link }
        let run = alike.last?.run
        self.run = run
        keys = Set(
            alike.filter { $0.run == run }.map {
                Key(round: $0.round, image: $0.image, engine: $0.engine, op: $0.op, cold: $0.cold)
            })
    }

    func holds(_ key: Key) -> Bool { keys.contains(key) }
}
