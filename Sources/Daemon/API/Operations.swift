// SPDX-License-Identifier: Apache-2.0

/// Something that lasts: started by one request, watched by further ones, cancelled by DELETE or by nobody asking.
public struct OperationInfo: Codable, Equatable, Sendable {
    public enum State: String, Codable, Sendable {
        case running, succeeded, failed
    }

    public let id: String
    public let state: State
    /// What is being done at the moment, in a word or two.
    public let phase: String
    /// Bytes that are dealt with, and how many there are in all; 0 when that is not known.
    public let doneBytes: UInt64
    public let totalBytes: UInt64
    /// What was made, once it succeeded.
    public let image: ImageInfo?
    /// How many bytes were new to the store, and how many were there already.
    public let newBytes: UInt64?
    public let sharedBytes: UInt64?
    /// Why it failed.
    public let failure: Failure?
}
