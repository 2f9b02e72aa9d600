// SPDX-License-Identifier: Apache-2.0

/// What is compared: operations of a cycle, their seconds added up.
struct Measure: Hashable {
    let cycle: Cycle
    let operations: [Operation]

    static let push = Measure(cycle: .deployment, operations: [.push])
    static let pull = Measure(cycle: .deployment, operations: [.pull])
    static let run = Measure(cycle: .deployment, operations: [.run])
    static let deployment = Measure(cycle: .deployment, operations: [.pull, .run])
    static let publication = Measure(cycle: .deployment, operations: [.push, .pull, .run])
    static let development = Measure(cycle: .development, operations: Operation.allCases)

    static let all = [push, pull, run, deployment, publication, development]

    var name: String {
        operations.map(\.rawValue).joined(separator: " + ")
            + (cycle == .development ? ", one file changed" : "")
    }
}

/// Under which conditions samples may be compared.
struct Conditions: Hashable {
    let link: LinkRecord?
    let cold: Bool

    var name: String { (cold ? "cold" : "warm") + ", " + Format.link(link) }
}

/// Samples of one link, all cold or all warm, by image and engine.
struct Comparison {
    private struct Place: Hashable {
        let image: String
        let engine: String
        let cycle: Cycle
    }

    private struct Turn: Hashable {
        let run: String
        let round: Int
    }

    let conditions: Conditions
    let samples: [SampleRecord]
    let images: [String]
    /// Ours first, then the one that others are held against, then as they come.
    let engines: [String]
    private let turns: [Place: [[Operation: SampleRecord]]]

    init(_ conditions: Conditions, _ samples: [SampleRecord]) {
        self.conditions = conditions
        self.samples = samples
        images = samples.map(\.image).distinct
        engines = EngineOrder.ordered(samples.map(\.engine))
        var order: [Place: [Turn]] = [:]
        var byTurn: [Place: [Turn: [Operation: SampleRecord]]] = [:]
        for sample in samples {
            let place = Place(
                image: sample.image, engine: sample.engine, cycle: sample.cycle ?? .deployment)
            let turn = Turn(run: sample.run, round: sample.round)
            if byTurn[place]?[turn] == nil { order[place, default: []].append(turn) }
            // A run that was resumed may have measured something again: the last counts.
            byTurn[place, default: [:]][turn, default: [:]][sample.op] = sample
        }
        turns = order.reduce(into: [:]) { result, entry in
            result[entry.key] = entry.value.compactMap { byTurn[entry.key]?[$0] }
        }
    }

    /// Every kind of conditions there is, as they come.
    static func all(of samples: [SampleRecord]) -> [Comparison] {
        let conditions = samples.map { Conditions(link: $0.link, cold: $0.cold) }
        return conditions.distinct.map { wanted in
            Comparison(wanted, zip(conditions, samples).filter { $0.0 == wanted }.map(\.1))
        }
    }

    /// Seconds of each time that all operations of a measure went well.
    func seconds(_ measure: Measure, image: String, engine: String) -> [Double] {
        let place = Place(image: image, engine: engine, cycle: measure.cycle)
        return (turns[place] ?? []).compactMap { turn in
            let parts = measure.operations.map { turn[$0] }
            guard parts.allSatisfy({ $0?.status == .ok }) else { return nil }
            return parts.reduce(0) { $0 + ($1?.seconds ?? 0) }
        }
    }

    func statistics(_ measure: Measure, image: String, engine: String) -> Statistics? {
        let seconds = seconds(measure, image: image, engine: engine)
        return seconds.isEmpty ? nil : Statistics(seconds)
    }

    /// Medians of every image that has one.
    func medians(_ measure: Measure, engine: String) -> [Double] {
        images.compactMap { statistics(measure, image: $0, engine: engine)?.median }
    }

    /// How many times faster one engine is than another, image by image: median against median.
    func speedups(
        _ measure: Measure, of engine: String, over other: String
    ) -> [(image: String, factor: Double)] {
        images.compactMap { image in
            guard let ours = statistics(measure, image: image, engine: engine)?.median, ours > 0,
                let theirs = statistics(measure, image: image, engine: other)?.median, theirs > 0
            else { return nil }
            return (image, theirs / ours)
        }
    }

    func phases(_ operation: Operation, in cycle: Cycle, image: String, engine: String) -> [String: Double] {
        let place = Place(image: image, engine: engine, cycle: cycle)
        let all = (turns[place] ?? []).compactMap { $0[operation] }.filter { $0.status == .ok }
            .compactMap(\.phases)
        let names = all.flatMap(\.keys).distinct
        return names.reduce(into: [:]) { result, name in
            result[name] = Statistics(all.map { $0[name] ?? 0 }).median
        }
    }

    var failures: [SampleRecord] { samples.filter { $0.status != .ok } }

    func has(_ measure: Measure) -> Bool {
        images.contains { image in
            engines.contains { !seconds(measure, image: image, engine: $0).isEmpty }
        }
    }
}

/// Which engine is which.
enum EngineOrder {
    static let ours = "slacker"
    /// Containerd with its default snapshotter, overlayfs.
    static let baseline = "containerd"

    static func ordered(_ names: [String]) -> [String] {
        let distinct = names.distinct
        return [ours, baseline].filter(distinct.contains) + distinct.filter { $0 != ours && $0 != baseline }
    }
}

extension Array where Element: Hashable {
    /// Every element once, where it is first.
    var distinct: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
