// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc
import HTTP

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show everything about an image or a volume.",
        discussion: "Example: slacker inspect python --heat python.svg")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The image or volume.")
    var name: String

    @Flag(help: "List the files in it, without mounting it.")
    var files = false

    @Option(help: "Draw the image's blocks into this SVG file: touched at start, fetched, local, shared.")
    var heat: String?

    @Flag(help: "Print JSON; with --files one object for each line.")
    var json = false

    func run() throws {
        let client = try global.connect()
        let path = "names/\(percentEncoded(name))"
        if let heat { return try draw(client, path + "/heat", heat) }
        if files { return try list(client, path + "/files") }
        let inspection = try client.call("GET", path, as: Inspection.self)
        if json { return try Output.json(inspection) }
        show(inspection)
    }

    private func draw(_ client: ControlClient, _ path: String, _ file: String) throws {
        let heat = try Patience.during("looking at blocks") {
            try client.call("GET", path, as: HeatInfo.self)
        }
        do throws(SystemError) {
            let bytes = Array(HeatPicture(heat).svg.utf8)
            try File(open: file, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).write(bytes, at: 0)
        } catch {
            throw Failure(.failed, "\(error)")
        }
    }

    private func list(_ client: ControlClient, _ path: String) throws {
        var pending = ""
        try client.stream(path) { line in
            if json {
                pending += String(decoding: line, as: UTF8.self) + "\n"
            } else if let entry = try? JSON.decode(FileEntry.self, line) {
                pending += FileLine.text(entry) + "\n"
            }
            if pending.utf8.count > 1 << 16 {
                Output.write(pending, to: 1)
                pending = ""
            }
        }
        Output.write(pending, to: 1)
    }

    private func show(_ inspection: Inspection) {
        let configuration = inspection.configuration
        Output.fields([
            (inspection.kind, inspection.name), ("digest", inspection.digest),
            ("parent", inspection.parentDigest),
            ("created", inspection.created), ("source", inspection.source.isEmpty ? nil : inspection.source),
            ("size", Size.text(inspection.sizeBytes)), ("data", inspection.dataBytes.map(Size.text)),
            ("local", Self.local(inspection)),
            ("unique", inspection.uniqueBytes.map(Size.text)),
            ("shared", inspection.sharedBytes.map(Size.text)),
            ("chunks", inspection.chunkCount.map { "\($0)" }),
            ("packs", Self.packs(inspection)), ("boot profile", Self.profile(inspection.profile)),
            ("changed", inspection.dirtyBytes.map(Size.text)),
            ("platform", configuration.platform), ("entrypoint", Self.words(configuration.entrypoint)),
            ("command", Self.words(configuration.command)),
            ("user", configuration.user.isEmpty ? nil : configuration.user),
            (
                "directory",
                configuration.workingDirectory.isEmpty ? nil : configuration.workingDirectory
            ),
        ])
        for entry in configuration.environment { Output.print("environment: \(Printable.text(entry))") }
        for label in configuration.labels.sorted(by: { $0.key < $1.key }) {
            Output.print("label: \(Printable.text("\(label.key)=\(label.value)"))")
        }
        for source in inspection.sources ?? [] { Output.print("fetched from: \(Printable.text(source))") }
        for layer in configuration.layers { Output.print("layer: \(layer)") }
    }

    private static func local(_ inspection: Inspection) -> String? {
        guard let data = inspection.dataBytes, let local = inspection.localBytes else { return nil }
        return "\(Size.text(local)), \(Share.text(local, of: data))"
    }

    private static func packs(_ inspection: Inspection) -> String? {
        guard let packs = inspection.packs, packs > 0 else { return nil }
        return "\(packs), of which \(Size.text(inspection.packedBytes ?? 0)) are used"
    }

    private static func profile(_ profile: ProfileInfo?) -> String? {
        profile.map {
            "\(Size.text($0.touchedBytes)) in \($0.touches) runs, "
                + Share.text($0.touchedBytes, of: $0.dataBytes)
        }
    }

    /// Arguments in quotes where a shell would need them.
    private static func words(_ words: [String]) -> String? {
        if words.isEmpty { return nil }
        return words.map { word in
            let isPlain =
                !word.isEmpty && word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=,+@%".contains($0) }
            return isPlain ? word : "'\(Printable.text(word))'"
        }.joined(separator: " ")
    }
}

/// Text from an image, made safe for a terminal.
enum Printable {
    static func text(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            if isControl {
                result += scalar.escaped(asASCII: true)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// One file as `ls -l` shows it.
enum FileLine {
    static func text(_ entry: FileEntry) -> String {
        let target = entry.target.map { " -> " + Printable.text($0) } ?? ""
        let size = String(entry.sizeBytes)
        let padding = String(repeating: " ", count: max(0, 12 - size.count))
        return "\(mode(entry.mode)) \(entry.links) \(entry.owner):\(entry.group) \(padding)\(size) "
            + "\(entry.modified) \(Printable.text(entry.path))\(target)"
    }

    private static func mode(_ mode: UInt32) -> String {
        let kinds: [UInt32: Character] = [
            0o040000: "d", 0o120000: "l", 0o020000: "c", 0o060000: "b", 0o010000: "p", 0o140000: "s",
        ]
        var text = String(kinds[mode & 0o170000] ?? "-")
        for (shift, special, set) in [
            (UInt32(6), UInt32(0o4000), "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT"),
        ] {
            let bits = mode >> shift & 7
            text += bits & 4 != 0 ? "r" : "-"
            text += bits & 2 != 0 ? "w" : "-"
            let letters = Array(set)
            if mode & special != 0 {
                text.append(bits & 1 != 0 ? letters[0] : letters[1])
            } else {
                text += bits & 1 != 0 ? "x" : "-"
            }
        }
        return text
    }
}
