// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `hellobench list`.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the workloads and what they wait for.")

    @OptionGroup var selection: WorkloadOptions

    @Flag(help: "One JSON object a line.")
    var json = false

    func run() throws {
        let workloads = try selection.selected()
        if json {
            for workload in workloads { Terminal.result(try WorkloadLine(workload).text) }
            return
        }
        let header = ["workload", "category", "kind", "image", "from Debian", "layers", "ready when"]
        let rows = [header] + workloads.map(Self.row)
        let widths = header.indices.dropLast().map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            Terminal.result((cells + row.suffix(1)).joined(separator: "  "))
        }
        let built = workloads.count { $0.debian != nil }
        Terminal.result("\n\(workloads.count) workloads; \(built) can be made from Debian's packages")
    }

    private static func row(_ workload: Workload) -> [String] {
        [
            workload.name, workload.category.rawValue, workload.task.kind.rawValue, workload.image,
            workload.debian?.fidelity.rawValue ?? "no", workload.debian.map { "\($0.layers.count)" } ?? "",
            (workload.debian?.task ?? workload.task).ready.text,
        ]
    }
}

/// Which workloads are meant.
struct WorkloadOptions: ParsableArguments {
    @Option(help: "Names of workloads, separated by commas; all when not given.")
    var images: String?

    @Option(help: "Categories: distro, database, language, web-framework, web-server, other.")
    var category: String?

    @Option(help: "A file of workloads in place of the built-in one.")
    var workloads: String?

    func selected() throws -> [Workload] {
        try WorkloadSet.load(workloads).select(images: images, category: category)
    }
}

extension Ready {
    /// In a few words.
    var text: String {
        switch self {
        case .exit(let status, let output):
            "ends with status \(status)" + (output.map { " having written \"\($0)\"" } ?? "")
        case .line(let texts, let occurrence):
            "a line has " + texts.map { "\"\($0)\"" }.joined(separator: " or ")
                + (occurrence > 1 ? " for the time number \(occurrence)" : "")
        case .url(let port, let path, let body):
            "port \(port) answers GET \(path)" + (body.map { " with \"\($0)\"" } ?? "")
        }
    }
}
