// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Seconds since 1970 on the clock that people set.
func wallSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`; nil for anything else.
func httpDate(_ text: String) -> Double? {
    let words = text.split(separator: " ")
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]),
        let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3]),
        1970...9999 ~= year
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int32($0) }
    guard clock.count == 3, 1...31 ~= day else { return nil }
    var parts = tm()
    parts.tm_year = year - 1900
    parts.tm_mon = Int32(month)
    parts.tm_mday = day
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
    return Double(timegm(&parts))
}

func sleepSeconds(_ seconds: Double) {
    var rest = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
    var left = timespec()
    while nanosleep(&rest, &left) < 0, errno == EINTR { rest = left }
}
