// SPDX-License-Identifier: Apache-2.0

/// How urgent a fetch is; the smaller one goes first.
public enum FetchClass: UInt8, Comparable, Sendable, CaseIterable {
    /// A reader waits for the bytes.
    case demand = 0
    /// A reader is expected to want the bytes soon.
    case readAhead = 1
    /// The boot pack: what a container of the image reads before it is ready.
    case boot = 2
    /// Filling an image to completeness.
    case background = 3

    public static func < (left: FetchClass, right: FetchClass) -> Bool { left.rawValue < right.rawValue }
}

/// A place where ranges of packs can be read from: a registry repository, an S3 bucket, an HTTP directory, a
/// local directory.
///
/// A source may lie, stall and fail: whoever uses it checks every byte.
public protocol PackSource: AnyObject, Sendable {
    /// For log and status; holds no secrets.
    var name: String { get }

    /// Reads a range of an object.
    ///
    /// Never blocks the caller. The receiver hears pieces of the range in order, one call at a time, on any
    /// thread, and then exactly one `finish`; it may hear them before this call has returned.
    /// - Parameters:
    ///   - sizeBytes: bytes in the whole object, as the place table has it.
    ///   - range: not empty, and within the object.
    func fetch(
        _ object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        to receiver: any RangeReceiver
    ) -> any FetchCancellation

    /// Bytes that it delivered of this object were wrong: if it stands for several servers, another one is
    /// to be asked. Never blocks.
    func distrust(_ object: ObjectName)
}

extension PackSource {
    public func distrust(_ object: ObjectName) {}
}

/// A range that is being read.
///
/// Both calls may come from any thread, at any time and more than once.
public protocol FetchCancellation: AnyObject, Sendable {
    /// Ends the transfer soon; the receiver still hears one `finish`, with `.cancelled` unless it was done.
    func cancel()

    /// Goes on after `receive` returned `.pause`.
    ///
    /// May come before the source has taken notice of that `.pause`, and must have its effect then too.
    /// Harmless when nothing is paused.
    func resume()
}

/// What a receiver says to the bytes it was offered.
public enum RangeFlow: Sendable {
    /// They are taken; more may come.
    case proceed
    /// They are not taken; they are to be offered again after `FetchCancellation.resume`.
    case pause
    /// They are not wanted; `finish` follows.
    case stop
}

/// Takes the bytes of one range.
public protocol RangeReceiver: AnyObject, Sendable {
    /// Some bytes of the range, in order; good until the call returns. Must not block for long.
    func receive(_ bytes: UnsafeRawBufferPointer) -> RangeFlow

    /// The end, once and last. Without a failure every byte of the range has been received.
    func finish(_ failure: SourceFailure?)
}

/// Why a source did not deliver a range.
public enum SourceFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// It cannot be reached or has too much to do; it asked to be left alone for so long, if it said so.
    case unavailable(String, retryAfterMs: Int?)
    /// It refuses; the credentials do not suffice.
    case denied(String)
    /// It has no such object.
    case missing(String)
    /// What it sent cannot be right: a short body, another range, bytes that do not match their digest.
    case invalid(String)
    /// Nothing came for too long.
    case timedOut(String)
    /// The fetch was cancelled by whoever began it.
    case cancelled

    public var description: String {
        switch self {
        case .unavailable(let reason, let delay):
            delay.map { "unavailable: \(reason) (asks for a pause of \($0) ms)" } ?? "unavailable: \(reason)"
        case .denied(let reason): "denied: \(reason)"
        case .missing(let reason): "missing: \(reason)"
        case .invalid(let reason): "invalid data: \(reason)"
        case .timedOut(let reason): "timed out: \(reason)"
        case .cancelled: "cancelled"
        }
    }
}
