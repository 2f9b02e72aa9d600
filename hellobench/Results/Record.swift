// SPDX-License-Identifier: Apache-2.0

/// One kind of line in a results file; `JSONLines` writes it with its kind as the member `kind`.
///
/// Times are seconds, amounts are bytes, unless a name says otherwise. What was not measured is left out.
protocol ResultRecord: Codable, Sendable {
    static var kind: String { get }
}

extension JSONLines {
    func write(_ record: some ResultRecord) throws {
        try write(type(of: record).kind, record)
    }
}

/// Where and with what the lines that follow were measured.
struct MachineRecord: ResultRecord, Equatable {
    static let kind = "machine"

    var host: String
    var kernel: String
    var cpu: String
    var cores: Int
    var memoryBytes: UInt64
    /// When the run began, in UTC as ISO 8601 has it: `2026-01-31T12:00:00Z`.
    var date: String
    /// Program to version: `slacker`, `containerd`, `runc`, ...
    var versions: [String: String]
}

/// The line between engine and registry; a record without one was measured on the bare loopback interface.
struct LinkRecord: Codable, Sendable, Hashable {
    var megabits: Double
    /// Of one round trip.
    var delayMilliseconds: Double
}

enum Operation: String, Codable, Sendable, CaseIterable {
    case commit, push, pull, run
}

/// What operations add up to.
enum Cycle: String, Codable, Sendable, CaseIterable {
    /// The image as it is: push, or pull and run.
    case deployment
    /// One changed file: commit, push, pull elsewhere, run.
    case development
}

enum Outcome: String, Codable, Sendable {
    case ok, failed, timeout
}

/// One operation on one image by one engine, once.
struct SampleRecord: ResultRecord, Equatable {
    static let kind = "sample"

    /// Which run of the program it belongs to; operations of one run and round add up to a cycle.
    var run: String
    /// Counts from 1.
    var round: Int
    var image: String
    var category: String
    /// As on the command line: `slacker`, `containerd`, `containerd:zfs`, ...
    var engine: String
    var op: Operation
    /// Left out, it is part of a deployment.
    var cycle: Cycle?
    /// Caches and stores were empty before.
    var cold: Bool
    var link: LinkRecord?
    /// From the first system call of the engine to the end of the operation: for a run, to the ready condition.
    var seconds: Double
    /// The engine's part of `seconds`.
    var engineSeconds: Double?
    /// The container's own part of `seconds`.
    var containerSeconds: Double?
    /// What came after the ready condition; not part of `seconds`.
    var teardownSeconds: Double?
    var receivedBytes: UInt64
    var sentBytes: UInt64
    var diskBytes: UInt64?
    var peakMemoryBytes: UInt64?
    var status: Outcome
    /// Why it is not `ok`, in one line.
    var error: String?
    /// Where `seconds` went, as far as the engine tells.
    var phases: [String: Double]?
}

/// Bytes that have come over the link, from the beginning of the pull to the ready condition and on.
struct TimelineRecord: ResultRecord, Equatable {
    static let kind = "timeline"

    var image: String
    var engine: String
    /// Seconds and bytes so far, in order of time.
    var points: [[Double]]
    /// When the container was ready, on the same clock.
    var readySeconds: Double?
}

/// How much a server did in each second after a cold start.
struct ThroughputRecord: ResultRecord, Equatable {
    static let kind = "throughput"

    /// `postgres`, `redis`, `nginx`, `node`.
    var benchmark: String
    var engine: String
    var round: Int?
    var link: LinkRecord?
    /// From the first system call of the engine to the first answer.
    var startSeconds: Double
    /// Operations in each second; the first is the second in which the engine was started.
    var perSecond: [Double]
    /// What is counted: `transactions`, `requests`.
    var unit: String?
    /// Why there are no figures.
    var error: String?
}

/// Figures of the analysis of one image, or of all of them.
///
/// Names that the report draws, with the values it looks for:
/// - `amplification`: `imageBytes` (of the flattened image), `readBytes` (distinct, before ready), `fetchedBytes`
/// - `layers`: bytes by depth, with names `1` (the topmost layer), `2`, ...
/// - `second-run`: `hits`, `misses` (blocks, or bytes: the same unit)
/// - `dedup`: bytes by way, for example `plain`, `gzip`, `image`, `file`, `chunk`
///
/// All others become a table.
struct AnalysisRecord: ResultRecord, Equatable {
    static let kind = "analysis"

    var name: String
    var image: String?
    var values: [String: Double]
}

/// Many containers at once.
struct ScaleRecord: ResultRecord, Equatable {
    static let kind = "scale"

    var engine: String
    var round: Int
    var containers: Int
    /// How many different images they are of.
    var images: Int
    var link: LinkRecord?
    /// To the last hello.
    var seconds: Double
    /// When each said hello, sorted.
    var helloSeconds: [Double]?
    var receivedBytes: UInt64
    /// Of all processes of engine and containers, for each container.
    var memoryBytesPerContainer: UInt64?
    var status: Outcome
    var error: String?
}
