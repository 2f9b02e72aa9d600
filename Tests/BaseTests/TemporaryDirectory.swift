// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A new directory on a real disk that goes away with its owner, whatever the test's outcome.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-test.XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit {
        // No test expects more than an attempt: what is left behind shows in the directory listing.
        try? Directories.removeTree(path)
    }

    func file(_ name: String, _ text: String = "") throws -> String {
        let path = self.path + "/" + name
        let file = try File(open: path, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(Array(text.utf8), at: 0)
        return path
    }

    func text(of name: String) throws -> String {
        let file = try File(open: path + "/" + name, O_RDONLY)
        return String(decoding: try file.read(count: Int(try file.size()), at: 0), as: UTF8.self)
    }
}

/// The error of a call that must fail.
func failure(_ body: () throws(SystemError) -> Void) throws -> SystemError {
    do throws(SystemError) {
        try body()
    } catch {
        return error
    }
    return try #require(nil as SystemError?, "the call did not fail")
}
