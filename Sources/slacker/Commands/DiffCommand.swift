// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import HTTP

struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show which files of two images or volumes differ.",
        discussion: """
            One line for each file: + for what only the second has, - for what only the first has, and ~ for what \
            differs, with the sizes before and after and in what respect: type, content, mode, owner, time, \
            attributes. A directory whose time alone differs is left out, and so are sockets. The exit status is 0, \
            whether they differ or not.

            Example: slacker diff python python-with-tools
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print JSON, one object for each line.")
    var json = false

    @Argument(help: "The image or volume before.")
    var first: String

    @Argument(help: "The image or volume after.")
    var second: String

    func run() throws {
        let client = try global.connect()
        let patience = Patience("comparing")
        var totals = Totals()
        var pending = ""
        try client.stream("names/\(percentEncoded(first))/changes/\(percentEncoded(second))") { line in
            patience.end()
            if json {
                pending += String(decoding: line, as: UTF8.self) + "\n"
            } else if let change = try? JSON.decode(ChangeInfo.self, line) {
                totals.add(change)
                pending += Self.text(change) + "\n"
            }
            if pending.utf8.count > 1 << 16 {
                Output.write(pending, to: 1)
                pending = ""
            }
        }
        patience.end()
        Output.write(pending, to: 1)
        if !json { Output.summary(totals.text) }
    }

    private static func text(_ change: ChangeInfo) -> String {
        let path = Printable.text(change.path) + (change.type == "directory" ? "/" : "")
        let isFile = change.type == "file"
        switch change.kind {
        case .added: return "+ \(path)" + (isFile ? "  \(Size.text(change.newSizeBytes ?? 0))" : "")
        case .removed: return "- \(path)" + (isFile ? "  \(Size.text(change.oldSizeBytes ?? 0))" : "")
        case .changed:
            let aspects = change.aspects.joined(separator: ", ")
            guard isFile, change.oldSizeBytes != change.newSizeBytes else { return "~ \(path)  (\(aspects))" }
            let sizes =
                "\(Size.text(change.oldSizeBytes ?? 0)) -> \(Size.text(change.newSizeBytes ?? 0))"
            return "~ \(path)  \(sizes)  (\(aspects))"
        }
    }

    private struct Totals {
        private var counts: [ChangeInfo.Kind: Int] = [:]
        private var addedBytes: UInt64 = 0
        private var removedBytes: UInt64 = 0

        mutating func add(_ change: ChangeInfo) {
            counts[change.kind, default: 0] += 1
            if change.kind == .added { addedBytes += change.newSizeBytes ?? 0 }
            if change.kind == .removed { removedBytes += change.oldSizeBytes ?? 0 }
        }

        var text: String {
            if counts.isEmpty { return "no file differs" }
            return
                "\(counts[.added] ?? 0) added with \(Size.text(addedBytes)), \(counts[.changed] ?? 0) changed, "
                + "\(counts[.removed] ?? 0) removed with \(Size.text(removedBytes))"
        }
    }
}
