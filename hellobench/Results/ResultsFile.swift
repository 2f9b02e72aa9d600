// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// What a results file holds, each kind in the order of the file.
struct Results: Equatable {
    var machines: [MachineRecord] = []
    var samples: [SampleRecord] = []
    var timelines: [TimelineRecord] = []
    var throughputs: [ThroughputRecord] = []
    var analyses: [AnalysisRecord] = []
    var scales: [ScaleRecord] = []

    /// Lines of kinds that this program does not know, by kind.
    var unknown: [String: Int] = [:]

    var isEmpty: Bool {
        samples.isEmpty && timelines.isEmpty && throughputs.isEmpty && analyses.isEmpty && scales.isEmpty
    }

    init() {}

    /// Reads all of some files.
    init(paths: [String]) throws(BenchError) {
        for path in paths {
            guard let text = Files.text(path) else { throw .last("open", path) }
            try add(text, path: path)
        }
    }

    /// - Parameter name: what errors call the text.
    init(text: String, name: String) throws(BenchError) {
        try add(text, path: name)
    }

    private mutating func add(_ text: String, path: String) throws(BenchError) {
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty {
            do {
                try add(Data(line))
            } catch {
                let unfinished = index == lines.count - 1
                let cure = unfinished ? "; the line is not finished, remove it" : ""
                throw .answer("\(path): line \(index + 1): \(Self.reason(error))\(cure)")
            }
        }
    }

    private struct Head: Decodable {
        let kind: String
    }

    private mutating func add(_ line: Data) throws {
        let decoder = JSONDecoder()
        func value<Value: Decodable>() throws -> Value { try decoder.decode(Value.self, from: line) }
        switch try decoder.decode(Head.self, from: line).kind {
        case MachineRecord.kind: machines.append(try value())
        case SampleRecord.kind: samples.append(try Self.checked(value()))
        case TimelineRecord.kind: timelines.append(try Self.checked(value()))
        case ThroughputRecord.kind: throughputs.append(try Self.checked(value()))
        case AnalysisRecord.kind: analyses.append(try value())
        case ScaleRecord.kind: scales.append(try Self.checked(value()))
        case let kind: unknown[kind, default: 0] += 1
        }
    }

    private static func checked(_ sample: SampleRecord) throws(BenchError) -> SampleRecord {
        let parts = [sample.seconds, sample.engineSeconds, sample.containerSeconds, sample.teardownSeconds]
        try require(parts.allSatisfy { $0 ?? 0 >= 0 }, "seconds are below zero")
        try require(sample.phases?.values.allSatisfy { $0 >= 0 } ?? true, "a phase is below zero")
        return sample
    }

    private static func checked(_ timeline: TimelineRecord) throws(BenchError) -> TimelineRecord {
        let isGood = timeline.points.allSatisfy { $0.count == 2 && $0[0] >= 0 && $0[1] >= 0 }
        try require(isGood, "a point is not two numbers from zero up, seconds and bytes")
        return timeline
    }

    private static func checked(_ throughput: ThroughputRecord) throws(BenchError) -> ThroughputRecord {
        let isGood = throughput.startSeconds >= 0 && throughput.perSecond.allSatisfy { $0 >= 0 }
        try require(isGood, "a figure is below zero")
        return throughput
    }

    private static func checked(_ scale: ScaleRecord) throws(BenchError) -> ScaleRecord {
        try require(scale.seconds >= 0 && scale.containers > 0, "seconds or containers are below zero")
        return scale
    }

    private static func require(_ holds: Bool, _ complaint: String) throws(BenchError) {
        if !holds { throw .answer(complaint) }
    }

    /// What is wrong with a line, in a few words.
    private static func reason(_ error: any Error) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case DecodingError.keyNotFound(let key, _): return "the member '\(key.stringValue)' is missing"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            let name = path(context)
            return name.isEmpty ? "not a JSON object" : "the member '\(name)' has the wrong type"
        case DecodingError.dataCorrupted(let context):
            let name = path(context)
            return name.isEmpty ? "not JSON" : "the member '\(name)' has a value that is not known"
        default: return "\(error)"
        }
    }
}
