// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import Glibc

/// One line on standard error that is written again and again; nothing when that is no terminal.
struct ProgressBar {
    private let isShown = Output.showsProgress
    private let started = MonotonicTime.now
    private var lastLength = 0

    private static let barColumns = 24

    mutating func show(_ operation: OperationInfo) {
        guard operation.state == .running else { return }
        show(phase: operation.phase, doneBytes: operation.doneBytes, totalBytes: operation.totalBytes)
    }

    /// What is done where nobody knows how much of it there is.
    mutating func show(phase: String) {
        show(phase: phase, doneBytes: 0, totalBytes: 0)
    }

    mutating func show(phase: String, doneBytes: UInt64, totalBytes: UInt64) {
        guard isShown else { return }
        let line = Self.line(
            phase, doneBytes, totalBytes, seconds: MonotonicTime.now.seconds(since: started),
            columns: Self.columns())
        let padding = String(repeating: " ", count: max(0, lastLength - line.count))
        Output.write("\r" + line + padding, to: 2)
        lastLength = line.count
    }

    /// Takes the line away.
    mutating func clear() {
        if lastLength > 0 { Output.write("\r" + String(repeating: " ", count: lastLength) + "\r", to: 2) }
        lastLength = 0
    }

    /// Bar, bytes, rate, time left and phase, cut to the width of the terminal.
    static func line(
        _ phase: String, _ doneBytes: UInt64, _ totalBytes: UInt64, seconds: Double, columns: Int
    ) -> String {
        var parts: [String] = []
        if totalBytes > 0 {
            let share = min(1, Double(doneBytes) / Double(totalBytes))
            let filled = Int(share * Double(barColumns))
            let bar =
                String(repeating: "=", count: filled) + String(repeating: " ", count: barColumns - filled)
            parts.append("[\(bar)] \(Int(share * 100))%")
            parts.append("\(Size.text(doneBytes)) of \(Size.text(totalBytes))")
            if seconds >= 0.5, doneBytes > 0 {
                let rate = Double(doneBytes) / seconds
                parts.append("\(Size.text(UInt64(rate)))/s")
                let leftBytes = totalBytes - min(doneBytes, totalBytes)
                parts.append("\(duration(Double(leftBytes) / rate)) left")
            }
        }
        parts.append(phase)
        return String(parts.joined(separator: "  ").prefix(max(1, columns - 1)))
    }

    private static func duration(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 359_999).rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole / 60 % 60) min"
    }

    private static func columns() -> Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
