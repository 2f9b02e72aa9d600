// SPDX-License-Identifier: Apache-2.0

/// How often something took how long, in steps of powers of two from 4 microseconds to 68 seconds.
///
/// Guarded by whoever holds it; counting costs a shift and two additions.
public struct DurationHistogram: Sendable, Equatable {
    /// Finite upper bounds; one more bucket holds what took longer.
    public static let boundCount = 25
    @usableFromInline static let firstShift: UInt64 = 12

    /// Of each bucket, not summed up; `boundCount + 1` of them.
    public private(set) var counts = [UInt64](repeating: 0, count: boundCount + 1)
    public private(set) var totalNanoseconds: UInt64 = 0

    public init() {}

    /// - Parameter counts: `boundCount + 1` of them.
    public init(counts: [UInt64], totalNanoseconds: UInt64) {
        precondition(counts.count == Self.boundCount + 1, "a count for each bucket")
        self.counts = counts
        self.totalNanoseconds = totalNanoseconds
    }

    public var count: UInt64 { counts.reduce(0, +) }

    /// The index of the bucket for a duration.
    @inlinable
    public static func bucket(_ nanoseconds: UInt64) -> Int {
        let bits = 64 - (nanoseconds >> firstShift).leadingZeroBitCount
        return min(bits, boundCount)
    }

    /// The largest duration of a bucket, in seconds; what is longer than the last bound has none.
    public static func boundSeconds(_ bucket: Int) -> Double {
        Double(UInt64(1) << (firstShift + UInt64(bucket))) / 1e9
    }

    public mutating func observe(nanoseconds: UInt64) {
        counts[Self.bucket(nanoseconds)] += 1
        totalNanoseconds += nanoseconds
    }

    public mutating func observe(seconds: Double) {
        observe(nanoseconds: UInt64(max(0, min(seconds, 1e9)) * 1e9))
    }

    public static func += (left: inout DurationHistogram, right: DurationHistogram) {
        for index in left.counts.indices { left.counts[index] += right.counts[index] }
        left.totalNanoseconds += right.totalNanoseconds
    }
}
