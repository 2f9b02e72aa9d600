// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// A program that keeps credentials: `docker-credential-NAME get` reads a server's name and prints JSON.
struct CredentialHelper {
    private struct Document: Decodable {
        let username: String?
        let secret: String?

        enum CodingKeys: String, CodingKey {
            case username = "Username"
            case secret = "Secret"
        }
    }

    let name: String
    /// The file that names it, for texts.
    let namedBy: String
    let timeoutSeconds: Double

    init(name: String, namedBy: String, timeoutSeconds: Double) {
        self.name = name
        self.namedBy = namedBy
        self.timeoutSeconds = timeoutSeconds
    }

    private var program: String { "docker-credential-" + name }

    /// Asks for a server; nil when the helper knows none for it.
    ///
    /// Blocks until it has answered or its time is over.
    func get(_ server: String) throws(OCIError) -> Credential? {
        // It becomes the name of a program, which must come from PATH.
        let isClean = name.utf8.allSatisfy { isLetterOrDigit($0, upper: true) || "._-".utf8.contains($0) }
        if !isClean {
            throw .badConfiguration(namedBy, reason: "a helper cannot be named \(printable(name))")
        }
        let input = Array((server + "\n").utf8)
        if input.count > Subprocess.inputLimitBytes { return nil }
        let result: Subprocess.Result
        do throws(SystemError) {
            result = try Subprocess.run(
                [program, "get"], input: input, deadline: .now.advanced(bySeconds: timeoutSeconds))
        } catch {
            let reason = error.code == ETIMEDOUT ? "none within \(timeoutSeconds) s" : error.reason
            throw .badConfiguration(namedBy, reason: "its helper \(program) gives no answer: \(reason)")
        }
        if !result.succeeded {
            // Helpers print their errors to standard output; nothing secret is there then.
            let said = printable((result.output + result.errors).prefix { !$0.isNewline })
            if said.lowercased().contains("not found") { return nil }
            throw .badConfiguration(namedBy, reason: "its helper \(program) fails: \(said)")
        }
        let document = try JSONDocument.decode(Document.self, Array(result.output.utf8), name: program)
        guard let secret = document.secret, !secret.isEmpty else { return nil }
        let username = document.username ?? ""
        return Credential(
            username: username, secret: secret, kind: username == "<token>" ? .identityToken : .password,
            origin: "\(program) (\(namedBy))")
    }
}
