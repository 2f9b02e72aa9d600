// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Finds out before the runtime is called whether a container's command is there: the runtime would say so in
/// words of its own, between what the container prints.
///
/// As the runtime does, a name with a slash is a path and any other is looked for in PATH.
struct CommandLookup {
    private enum Finding {
        case missing, notExecutable, executable
    }

    let command: String
    let path: String
    let workingDirectory: String

    /// - Parameter environment: of the container, `NAME=VALUE`.
    init(command: String, environment: [String], workingDirectory: String) {
        self.command = command
        self.workingDirectory = workingDirectory
        path = environment.last { $0.hasPrefix("PATH=") }.map { String($0.dropFirst(5)) } ?? ""
    }

    /// Errors: `.commandNotFound`, `.commandNotExecutable`.
    func check(in image: borrowing ImageRoot) throws(MountsError) {
        if command.contains("/") {
            let place = command.hasPrefix("/") ? command : "\(workingDirectory)/\(command)"
            switch look(at: place, in: image) {
            case .executable: return
            case .notExecutable: throw .commandNotExecutable(command)
            case .missing: throw .commandNotFound(command, path: nil)
            }
        }
        var refused = false
        for directory in path.split(separator: ":", omittingEmptySubsequences: false) {
            let base = directory.hasPrefix("/") ? String(directory) : "\(workingDirectory)/\(directory)"
            switch look(at: "\(base)/\(command)", in: image) {
            case .executable: return
            case .notExecutable: refused = true
            case .missing: break
            }
        }
        throw refused ? .commandNotExecutable(command) : .commandNotFound(command, path: path)
    }

    private func look(at place: String, in image: borrowing ImageRoot) -> Finding {
        // File systems that the runtime mounts.
        if ["/proc/", "/dev/", "/sys/"].contains(where: place.hasPrefix) { return .executable }
        guard let mode = image.mode(of: place), mode & S_IFMT == S_IFREG || mode & S_IFMT == S_IFDIR else {
            return .missing
        }
        return mode & S_IFMT == S_IFREG && mode & 0o111 != 0 ? .executable : .notExecutable
    }
}
