// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a measurement cannot be made, or was not.
enum BenchError: Error, CustomStringConvertible {
    case notRoot
    /// Programs that are not in PATH, with the Debian packages that have them.
    case missingTools([(program: String, package: String)])
    case commandFailed(command: String, status: Int32, output: String)
    case timedOut(command: String, seconds: Double)
    case call(String, subject: String, code: Int32)
    case answer(String)
    case lackOfSpace(directory: String, neededBytes: UInt64, freeBytes: UInt64)
    case interrupted

    var description: String {
        switch self {
        case .notRoot: "hellobench needs root for loop devices and mounts; run it with sudo"
        case .missingTools(let tools):
            "not found: \(tools.map(\.program).joined(separator: ", ")); install with: apt-get install "
                + Set(tools.map(\.package)).sorted().joined(separator: " ")
        case .commandFailed(let command, let status, let output):
            "\(command): ended with status \(status)" + (output.isEmpty ? "" : ": " + output)
        case .timedOut(let command, let seconds):
            "\(command): not finished after \(Int(seconds)) s; it was killed"
        case .call(let call, let subject, let code):
            "\(subject): \(call): \(String(cString: strerror(code)).lowercased())"
        case .answer(let text): text
        case .lackOfSpace(let directory, let needed, let free):
            "\(directory): \(needed >> 20) MiB are needed, \(free >> 20) MiB are free; "
                + "choose another --directory or a smaller --size"
        case .interrupted: "interrupted"
        }
    }

    /// The error of the call that has just failed on this thread.
    @inline(never)
    static func last(_ call: String, _ subject: String) -> BenchError {
        .call(call, subject: subject, code: errno)
    }
}
