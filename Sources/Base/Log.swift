// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Logging

/// Logging of the whole program: one line on standard error for each event.
public enum Log {
    /// Sets the handler of every logger; call it once, before the first logger is made.
    public static func bootstrap(level: Logger.Level) {
        LoggingSystem.bootstrap { label in
            var handler = StandardErrorHandler(label: label)
            handler.logLevel = level
            return handler
        }
    }

    public static func logger(_ module: String) -> Logger {
        Logger(label: module)
    }
}

/// Writes `TIME LEVEL MODULE: message key=value…` with one `write` call, so that lines of threads never mix.
struct StandardErrorHandler: LogHandler {
    let label: String
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let line = "\(Self.timestamp()) \(event.level) \(label): \(event.message)\(pairs)\n"
        _ = Array(line.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    private static func timestamp() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
