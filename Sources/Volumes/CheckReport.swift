// SPDX-License-Identifier: Apache-2.0

/// What a check of the state directory has found.
public struct CheckReport: Sendable, Equatable {
    /// One thing that is not as it should be.
    public struct Finding: Sendable, Equatable {
        public enum Outcome: String, Sendable {
            /// It is as it should be again.
            case repaired
            /// It cannot do harm any more, and is not as it should be.
            case quarantined
            /// Nothing was done: that was not asked for, or nothing can be done.
            case open
        }

        /// What it is about, for example `image 'x'`.
        public let subject: String
        public let problem: String
        public let outcome: Outcome
        /// What was done, or what to do.
        public let remedy: String
    }

    public internal(set) var findings: [Finding] = []
    public internal(set) var images = 0
    public internal(set) var volumes = 0
    public internal(set) var maps = 0
    /// Chunks of those maps, each counted in every map.
    public internal(set) var references = 0
    /// Plain bytes whose digests were checked.
    public internal(set) var verifiedBytes: UInt64 = 0

    /// Nothing is left that is not as it should be.
    public var isClean: Bool { findings.allSatisfy { $0.outcome == .repaired } }

    mutating func add(_ subject: String, _ problem: String, _ outcome: Finding.Outcome, _ remedy: String) {
        findings.append(Finding(subject: subject, problem: problem, outcome: outcome, remedy: remedy))
    }
}

/// What a check is to do.
public struct CheckOptions: Sendable {
    /// Mend what can be mended, and put aside what cannot.
    public var repairs = false
    /// Read every chunk and check its digest.
    public var isDeep = false

    public init(repairs: Bool = false, isDeep: Bool = false) {
        self.repairs = repairs
        self.isDeep = isDeep
    }
}
