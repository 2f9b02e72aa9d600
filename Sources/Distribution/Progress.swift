// SPDX-License-Identifier: Apache-2.0

/// How far a push or a pull has come.
public struct DistributionProgress: Sendable, Equatable {
    public enum Phase: String, Sendable, CaseIterable {
        /// Asking the other side what it has.
        case resolving
        /// Fetching chunks that have to be here first.
        case fetching
        /// Making packs and sending them.
        case packs
        /// Sending or receiving maps and configuration.
        case maps
        /// Layers of an ordinary image.
        case layers
        /// Making the image visible.
        case publishing
        /// Writing an export, and turning it into another format.
        case exporting, converting
    }

    public var phase: Phase
    /// Plain bytes of this phase that are done with; those of the wire where nothing is compressed.
    public var doneBytes: UInt64
    public var totalBytes: UInt64
    /// Plain bytes that need no transfer since the other side has them.
    public var skippedBytes: UInt64

    public init(phase: Phase, doneBytes: UInt64 = 0, totalBytes: UInt64 = 0, skippedBytes: UInt64 = 0) {
        self.phase = phase
        self.doneBytes = doneBytes
        self.totalBytes = totalBytes
        self.skippedBytes = skippedBytes
    }
}

/// Called from several threads, one at a time, at most some ten times a second within a phase.
public typealias ProgressHandler = @Sendable (DistributionProgress) -> Void
/// Asked often, from several threads.
public typealias CancellationCheck = @Sendable () -> Bool
