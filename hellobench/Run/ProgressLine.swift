// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One line on a terminal that says what is being done; nothing at all where standard error is none.
final class ProgressLine {
    private let total: Int
    private let isShown: Bool
    private let startedAt = Monotonic.now
    private var done = 0
    private var isDirty = false

    init(total: Int, isShown: Bool = isatty(2) != 0) {
        self.total = total
        self.isShown = isShown
    }

    /// Shows what is being done now.
    func show(_ text: String) {
        guard isShown else { return }
        let line = "[\(min(done + 1, max(total, 1)))/\(total)] \(text)\(remaining)"
        Terminal.overwrite(String(line.prefix(Self.width - 1)))
        isDirty = true
    }

    /// One more of the total is done.
    func advance() { done += 1 }

    /// A line that stays.
    func note(_ text: String) {
        clear()
        Terminal.note(text)
    }

    func clear() {
        if isDirty { Terminal.overwrite("") }
        isDirty = false
    }

    private var remaining: String {
        guard done > 0, done < total else { return "" }
        let spent = Monotonic.seconds(from: startedAt, to: Monotonic.now)
        let left = spent / Double(done) * Double(total - done)
        return left < 90
            ? ", \(Int(left.rounded(.up))) s left" : ", \(Int((left / 60).rounded(.up))) min left"
    }

    private static var width: Int {
        var size = winsize()
        return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) : 80
    }
}

extension Terminal {
    /// Replaces the line on which the cursor stands.
    static func overwrite(_ text: String) {
        let line = Array("\r\u{1b}[K\(text)".utf8)
        _ = Glibc.write(2, line, line.count)
    }
}
