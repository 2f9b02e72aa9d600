// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What must be there before anything is measured.
enum Requirements {
    private static let tools = [
        (program: "fio", package: "fio"), (program: "losetup", package: "mount"),
        (program: "dd", package: "coreutils"),
        (program: "qemu-img", package: "qemu-utils"),
        (program: "qemu-storage-daemon", package: "qemu-system-common"), (program: "zstd", package: "zstd"),
    ]

    static func check() throws(BenchError) {
        if geteuid() != 0 { throw .notRoot }
        try check(tools)
    }

    /// - Throws: an error that says what to install for those that are not in PATH.
    static func check(_ tools: [(program: String, package: String)]) throws(BenchError) {
        var missing: [(program: String, package: String)] = []
        for tool in tools where find(tool.program) == nil {
            if !missing.contains(where: { $0.program == tool.program }) { missing.append(tool) }
        }
        if !missing.isEmpty { throw .missingTools(missing) }
    }

    /// The path of a program that PATH leads to, or of the path itself.
    static func find(_ program: String) -> String? {
        let directories = program.contains("/") ? [""] : searchPath
        for directory in directories {
            let path = directory.isEmpty ? program : directory + "/" + program
            if access(path, X_OK) == 0 { return path }
        }
        return nil
    }

    /// `slacker` as the user names it, else the one beside this program, else the one in PATH.
    static func slacker(_ named: String?) throws(BenchError) -> String {
        if let named {
            if let found = find(named) { return found }
            throw .answer(
                "\(named): no such program; build it with: swift build -c release --product slacker")
        }
        if let beside = ownDirectory.flatMap({ find($0 + "/slacker") }) ?? find("slacker") { return beside }
        throw .answer("slacker: not found beside hellobench or in PATH; name it with --slacker")
    }

    private static var searchPath: [String] {
        let value = getenv("PATH").map { String(cString: $0) } ?? ""
        return value.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    }

    private static var ownDirectory: String? {
        guard let raw = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(raw) }
        let path = String(cString: raw)
        return path.lastIndex(of: "/").map { String(path[..<$0]) }
    }
}
