// SPDX-License-Identifier: Apache-2.0

/// Something that lasts: started by one request, watched by further ones, cancelled by DELETE or by nobody
/// asking.
public struct OperationInfo: Codable, Equatable, Sendable {
    public enum State: String, Codable, Sendable {
        case running, succeeded, failed
    }

    public let id: String
    public internal(set) var state: State
    /// What is being done at the moment, in a word or two.
    public internal(set) var phase: String
    /// Bytes that are dealt with.
    public internal(set) var doneBytes: UInt64 = 0
    /// Bytes that there are in all; 0 when that is not known.
    public internal(set) var totalBytes: UInt64 = 0
    /// What was made, once it succeeded.
    public internal(set) var image: ImageInfo?
    /// Bytes that were new to the store, and those that were there already.
    public internal(set) var newBytes: UInt64?
    public internal(set) var sharedBytes: UInt64?
    /// What a push, and what a pull did.
    public internal(set) var push: PushInfo?
    public internal(set) var pull: PullInfo?
    /// What a check found.
    public internal(set) var check: CheckInfo?
    /// What an export wrote.
    public internal(set) var export: ExportInfo?
    /// Why it failed.
    public internal(set) var failure: Failure?

    init(id: String, state: State, phase: String) {
        self.id = id
        self.state = state
        self.phase = phase
    }
}
