// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// The terminal as a page that is drawn again and again.
///
/// Knows seven escape sequences, which every terminal since the VT100 has. Restores everything at its end.
final class Screen {
    private var before: termios
    /// What the terminal shows, to write no more than what differs: ssh may be slow.
    private var shown: [String] = []
    private var size = (rows: 0, columns: 0)

    /// nil when standard output is no terminal.
    static func open() -> Screen? {
        var before = termios()
        guard isatty(1) == 1, isatty(0) == 1, tcgetattr(0, &before) == 0 else { return nil }
        return Screen(before)
    }

    private init(_ before: termios) {
        self.before = before
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(0, TCSANOW, &raw)
        // The other screen, no cursor, no wrapping of long lines.
        Output.write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l", to: 1)
    }

    deinit {
        Output.write("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l", to: 1)
        tcsetattr(0, TCSANOW, &before)
    }

    static func currentSize() -> (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (24, 80)
        }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// Draws lines, cut to what the window has.
    func draw(_ lines: [String]) {
        let now = Self.currentSize()
        if now != size {
            size = now
            shown = []
            Output.write("\u{1B}[2J", to: 1)
        }
        var text = ""
        let page = lines.prefix(size.rows).map { String($0.prefix(size.columns)) }
        for row in 0..<max(page.count, shown.count) {
            let line = row < page.count ? page[row] : ""
            if row < shown.count, shown[row] == line { continue }
            text += "\u{1B}[\(row + 1);1H\(line)\u{1B}[K"
        }
        shown = page
        if !text.isEmpty { Output.write(text, to: 1) }
    }

    /// Waits for a key, at most so long; 0 when the terminal is gone.
    func key(waitMs: Int32) -> UInt8? {
        var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, waitMs) > 0 else { return nil }
        var byte: UInt8 = 0
        return read(0, &byte, 1) == 1 ? byte : 0
    }
}
