// SPDX-License-Identifier: Apache-2.0

/// How much went over a network interface by when, from which the operations of each second follow.
///
/// The programs that make load tell how much they got done in all, few of them when. But an operation of one
/// kind takes as many bytes as the next. So each second gets the share of all operations that it has of all
/// bytes.
struct LoadCurve: Equatable, Sendable {
    /// Seconds from the start of the engine, growing, with the bytes so far.
    private(set) var points: [(seconds: Double, bytes: Double)] = []

    mutating func add(seconds: Double, bytes: UInt64) {
        points.append((seconds, Double(bytes)))
    }

    static func == (one: LoadCurve, other: LoadCurve) -> Bool {
        one.points.elementsEqual(other.points) { $0 == $1 }
    }

    /// The operations of each second; before the first point and after the last one there are none.
    ///
    /// - Parameters:
    ///   - operations: of the whole curve.
    ///   - seconds: how many seconds to give.
    func perSecond(operations: Double, seconds: Int) -> [Double] {
        guard let first = points.first, let last = points.last, last.bytes > first.bytes else {
            return Array(repeating: 0, count: seconds)
        }
        let each = operations / (last.bytes - first.bytes)
        var index = 0
        var edges: [Double] = []
        for second in 0...seconds {
            while index + 1 < points.count, points[index + 1].seconds <= Double(second) { index += 1 }
            edges.append(bytes(at: Double(second), after: index))
        }
        return (0..<seconds).map { (edges[$0 + 1] - edges[$0]) * each }
    }

    /// On the straight line between the point at an index and the next.
    private func bytes(at second: Double, after index: Int) -> Double {
        let here = points[index]
        guard second > here.seconds, index + 1 < points.count else { return here.bytes }
        let next = points[index + 1]
        return here.bytes + (next.bytes - here.bytes) * (second - here.seconds)
            / (next.seconds - here.seconds)
    }
}

/// What the kernel counts on the loopback interface of a network namespace.
enum LoopbackCounter {
    /// Bytes so far, in the calling thread's network namespace.
    static var bytes: UInt64 { bytes(in: Files.text("/proc/thread-self/net/dev") ?? "") }

    /// - Parameter text: as `/proc/net/dev` has it.
    static func bytes(in text: String) -> UInt64 {
        for line in text.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == ":" }
            if words.first == "lo", words.count > 1 { return UInt64(words[1]) ?? 0 }
        }
        return 0
    }
}
