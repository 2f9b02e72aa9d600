// SPDX-License-Identifier: Apache-2.0

import Base

/// Writes figures in Prometheus' text format, version 0.0.4.
struct MetricsText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    enum Kind: String {
        case counter, gauge, histogram
    }

    typealias Labels = [(name: String, value: String)]

    private(set) var text = ""

    /// Begins a family: all its samples follow at once.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP slacker_\(name) \(help)\n# TYPE slacker_\(name) \(kind.rawValue)\n"
    }

    mutating func sample(_ name: String, _ labels: Labels = [], _ value: UInt64) {
        text += "slacker_\(name)\(Self.shown(labels)) \(value)\n"
    }

    mutating func sample(_ name: String, _ labels: Labels = [], _ value: Double) {
        text += "slacker_\(name)\(Self.shown(labels)) \(value)\n"
    }

    /// A family with one sample.
    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: UInt64) {
        family(name, kind, help)
        sample(name, [], value)
    }

    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        family(name, kind, help)
        sample(name, [], value)
    }

    /// The samples of one histogram, in seconds.
    mutating func histogram(_ name: String, _ labels: Labels, _ durations: DurationHistogram) {
        var sum: UInt64 = 0
        for (index, count) in durations.counts.enumerated() {
            sum += count
            let isLast = index == DurationHistogram.boundCount
            let bound = isLast ? "+Inf" : "\(DurationHistogram.boundSeconds(index))"
            sample(name + "_bucket", labels + [("le", bound)], sum)
        }
        sample(name + "_sum", labels, Double(durations.totalNanoseconds) / 1e9)
        sample(name + "_count", labels, sum)
    }

    private static func shown(_ labels: Labels) -> String {
        if labels.isEmpty { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",") + "}"
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
