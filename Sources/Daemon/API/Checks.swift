// SPDX-License-Identifier: Apache-2.0

import Volumes

/// What `POST /v1/checks` takes.
public struct CheckRequest: Codable, Sendable {
    /// Mend what can be mended, and put aside what cannot.
    public var repair: Bool
    /// Read every chunk and check its digest.
    public var deep: Bool

    public init(repair: Bool, deep: Bool) {
        self.repair = repair
        self.deep = deep
    }
}

/// What a check of the state directory has found.
public struct CheckInfo: Codable, Equatable, Sendable {
    /// One thing that is not as it should be.
    public struct Finding: Codable, Equatable, Sendable {
        /// What it is about, for example `image 'x'`.
        public let subject: String
        public let problem: String
        /// `repaired`, `quarantined` or `open`.
        public let outcome: String
        /// What was done, or what to do.
        public let remedy: String
    }

    public let findings: [Finding]
    /// Nothing is left that is not as it should be.
    public let isClean: Bool
    public let images: Int
    public let volumes: Int
    public let maps: Int
    /// Chunks of those maps, each counted in every map.
    public let references: Int
    /// Plain bytes whose digests were checked.
    public let verifiedBytes: UInt64

    init(_ report: CheckReport) {
        findings = report.findings.map {
            Finding(
                subject: $0.subject, problem: $0.problem, outcome: $0.outcome.rawValue, remedy: $0.remedy)
        }
        isClean = report.isClean
        images = report.images
        volumes = report.volumes
        maps = report.maps
        references = report.references
        verifiedBytes = report.verifiedBytes
    }
}
