// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a layer adds, as overlayfs has written it; turned into what a registry's layer has.
struct LayerTree {
    let path: String
    /// Names below `path`, directories before what is in them, sorted by their bytes.
    private(set) var names: [String] = []
    /// Names of the empty files that stand for what the layer takes away, as the OCI image specification has them.
    private(set) var whiteouts: [String] = []

    /// The trees of the layers below, from the lowest up.
    private let lower: [String]

    init(_ path: String, above lower: [String] = []) throws(BenchError) {
        self.path = path
        self.lower = lower
        try add("")
        names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        whiteouts.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Overlayfs' mark for a name that is gone is a character device of the numbers 0 and 0.
    private mutating func add(_ folder: String) throws(BenchError) {
        for name in try Files.entries(of: path + "/" + folder) {
            let relative = folder.isEmpty ? name : folder + "/" + name
            let info = try Files.status(path + "/" + relative)
            if info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == 0 {
                whiteouts.append((folder.isEmpty ? "" : folder + "/") + ".wh." + name)
                continue
            }
            names.append(relative)
            guard info.st_mode & S_IFMT == S_IFDIR else { continue }
            if hidesLower(relative) { whiteouts.append(relative + "/.wh..wh..opq") }
            try add(relative)
        }
    }

    /// Whether a directory takes the place of one below it, rather than adding to it.
    ///
    /// Overlayfs gives its attribute for that to new directories as well, to save itself from looking.
    private func hidesLower(_ directory: String) -> Bool {
        Files.attribute("trusted.overlay.opaque", of: path + "/" + directory) == [UInt8(ascii: "y")]
            && lower.contains { tree in
                (try? Files.status(tree + "/" + directory)).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
            }
    }

    /// Gives everything that was made since `start` one time that does not depend on when that was.
    ///
    /// It is that of the newest file that came with a package, so that a cache looks no older than what it is of,
    /// and what notes the time of a packaged file, as Python's compiled modules do, stays right.
    /// - Parameters:
    ///   - start: seconds since 1970.
    ///   - lower: the result for the layer below, which the result is never less than.
    /// - Returns: that time.
    func settleTimes(since start: Int, lower: Int) throws(BenchError) -> Int {
        var times: [(name: String, seconds: Int)] = []
        for name in names { times.append((name, try Files.status(path + "/" + name).st_mtim.tv_sec)) }
        let settled = max(lower, times.lazy.map(\.seconds).filter { $0 < start }.max() ?? 0)
        for entry in times where entry.seconds >= start {
            try Files.setTime(path + "/" + entry.name, seconds: settled)
        }
        return settled
    }

    /// The words that write the layer as a tar to the standard output; the same tree gives the same bytes.
    ///
    /// - Parameters:
    ///   - directory: an empty one, for the lists of names and the whiteouts.
    ///   - time: of the whiteouts, in seconds since 1970.
    func tarCommand(using directory: String, time: Int) throws(BenchError) -> [String] {
        let marks = directory + "/whiteouts"
        try Files.makeDirectories(marks)
        for name in whiteouts {
            let path = marks + "/" + name
            if let slash = path.lastIndex(of: "/") { try Files.makeDirectories(String(path[..<slash])) }
            try Files.write([], to: path)
            try Files.setTime(path, seconds: time)
        }
        func list(_ names: [String], _ file: String) throws(BenchError) -> String {
            let path = directory + "/" + file
            try Files.write(Array(names.map { $0 + "\u{0}" }.joined().utf8), to: path)
            return path
        }
        return [
            "tar", "--create", "--format=posix", "--numeric-owner", "--no-recursion", "--xattrs",
            "--xattrs-include=security.capability", "--xattrs-include=user.*",
            "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--null",
            "-C", marks, "--files-from=" + (try list(whiteouts, "whiteout-names")),
            "-C", path, "--files-from=" + (try list(names, "names")),
        ]
    }
}
