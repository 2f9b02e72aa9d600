// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP

extension SourceFailure {
    /// What a transfer without a response means for the source.
    init(_ error: HTTPError) {
        switch error {
        case .timedOut, .stalled: self = .timedOut("\(error)")
        case .tooManyRedirects, .bodyTooLong: self = .invalid("\(error)")
        case .stopped: self = .cancelled
        default: self = .unavailable("\(error)", retryAfterMs: nil)
        }
    }

    /// What a response that is no success means.
    /// - Parameter body: its beginning, for what S3 says in it.
    init(_ head: ResponseHead, _ body: [UInt8], _ subject: String) {
        let code = XMLText.element("Code", in: body).map { " (\($0.prefix(64)))" } ?? ""
        let reason = "\(subject): the server answered with status \(head.status)\(code)"
        switch head.status {
        case 401, 403: self = .denied(reason)
        case 404, 410: self = .missing(reason)
        case 408, 425, 429, 500...599:
            self = .unavailable(reason, retryAfterMs: Self.retryAfterMs(head.header("retry-after")))
        default: self = .invalid(reason)
        }
    }

    /// Seconds or a date, as the header Retry-After has them; at most a day.
    static func retryAfterMs(_ value: String?) -> Int? {
        guard let value else { return nil }
        if let seconds = Int(value) { return seconds < 0 ? nil : min(seconds, 86400) * 1000 }
        return seconds(ofDate: value).map { min(max(0, $0 - time(nil)), 86400) * 1000 }
    }

    /// Seconds since 1970 of a date such as `Wed, 21 Oct 2015 07:28:00 GMT`.
    private static func seconds(ofDate text: String) -> Int? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])),
            let day = Int32(words[1]), let year = Int32(words[3]), 1970...9999 ~= year
        else { return nil }
        let clock = words[4].split(separator: ":").compactMap { Int32($0) }
        guard clock.count == 3, (clock + [day]).allSatisfy({ 0...60 ~= $0 }) else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
        return timegm(&parts)
    }
}
