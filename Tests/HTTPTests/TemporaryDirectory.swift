// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A new directory on a real disk that goes away with its owner, whatever the test's outcome.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-http.XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit {
        // No test expects more than an attempt: what is left behind shows in the directory listing.
        try? Directories.removeTree(path)
    }

    @discardableResult
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = self.path + "/" + name
        try Directories.create(Directories.parent(of: path), mode: 0o755)
        let file = try File(open: path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.write(bytes, at: 0)
        return path
    }
}

/// Runs a program that must succeed.
@discardableResult
func succeed(_ arguments: String...) throws -> String {
    let result = try Subprocess.run(arguments)
    try #require(result.succeeded, "\(arguments.joined(separator: " ")): \(result.errors)")
    return result.output
}

/// Bytes that look random and are the same in each run.
func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        for index in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer[index] = UInt8(truncatingIfNeeded: state >> 33)
        }
        filled = count
    }
}
