// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Finds credentials where Docker and Podman keep them; files are read when a credential is needed.
final class CredentialStore: Sendable {
    struct Search: Sendable {
        var credential: Credential?
        /// Files that were read.
        var files: [String] = []
        /// What could not be read or asked; a denied request is explained by it.
        var problems: [String] = []
    }

    private struct Known {
        let search: Search
        let until: MonotonicTime
    }

    /// Seconds for which what was found is not looked for again: a login is to be seen soon.
    private static let freshSeconds: Double = 30
    private static let limitBytes = 4 << 20

    private let files: [String]
    private let helperTimeoutSeconds: Double
    private let known = Lock<[String: Known]>([:])

    init(_ settings: RegistrySettings) {
        files = settings.credentialFiles ?? Self.usualFiles(Self.environment)
        helperTimeoutSeconds = settings.helperTimeoutSeconds
    }

    /// Blocks on files and helpers.
    ///
    /// Never fails: without credentials what is public can still be had.
    func find(_ host: String, _ repository: String) -> Search {
        let key = host + " " + repository
        if let entry = known.withLock({ $0[key] }), entry.until > .now { return entry.search }
        let search = look(host, repository)
        known.withLock { all in
            if all.count >= 1024 { all.removeAll() }
            all[key] = Known(search: search, until: .now.advanced(bySeconds: Self.freshSeconds))
        }
        for problem in search.problems { Log.warning("oci", "credentials", ["problem": problem]) }
        return search
    }

    /// Looks again at the next need: what was found has been refused.
    func forget(_ host: String) {
        known.withLock { all in all = all.filter { !$0.key.hasPrefix(host + " ") } }
    }

    private func look(_ host: String, _ repository: String) -> Search {
        var search = Search()
        for path in files where Directories.exists(path) {
            search.files.append(path)
            do throws(OCIError) {
                let file = try mapped { () throws(SystemError) in try File(open: path, O_RDONLY) }
                let bytes = try mapped { () throws(SystemError) in
                    try file.read(count: Self.limitBytes, at: 0)
                }
                let findings = try CredentialFile(parsing: bytes, path: path)
                    .findings(host: host, repository: repository)
                for finding in findings {
                    if let credential = try credential(finding, path) {
                        search.credential = credential
                        return search
                    }
                }
            } catch {
                search.problems.append("\(error)")
            }
        }
        return search
    }

    private func credential(_ finding: CredentialFile.Finding, _ path: String) throws(OCIError) -> Credential?
    {
        switch finding {
        case .credential(let credential): return credential
        case .helper(let name, let server):
            let helper = CredentialHelper(name: name, namedBy: path, timeoutSeconds: helperTimeoutSeconds)
            return try helper.get(server)
        }
    }

    /// What to do after a refusal; says whose credentials were used and where they came from.
    func advice(_ granted: Granted?, _ endpoint: Endpoint) -> String {
        let host = endpoint.host
        if let credential = granted?.credential {
            return "\(credential) were used: check what they may do, or log in again"
        }
        let search = find(host, "")
        let places = search.files.isEmpty ? files : search.files
        let name = CredentialFile.canonical(host)
        let text =
            "no credentials for \(host) were found in \(places.joined(separator: ", ")): log in with "
            + "'docker login \(name)' or 'podman login \(name)'"
        return ([text] + search.problems).joined(separator: "; ")
    }

    // MARK: - Places

    static let environment: @Sendable (String) -> String? = { name in
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// Podman's order, which ends with Docker's file.
    static func usualFiles(_ environment: (String) -> String?) -> [String] {
        var files: [String] = []
        if let path = environment("REGISTRY_AUTH_FILE") { files.append(path) }
        files.append((environment("XDG_RUNTIME_DIR") ?? "/run") + runtimeTail(environment))
        let home = environment("HOME") ?? userHome()
        if let directory = environment("XDG_CONFIG_HOME") ?? home.map({ $0 + "/.config" }) {
            files.append(directory + "/containers/auth.json")
        }
        if let directory = environment("DOCKER_CONFIG") ?? home.map({ $0 + "/.docker" }) {
            files.append(directory + "/config.json")
        }
        return files
    }

    private static func runtimeTail(_ environment: (String) -> String?) -> String {
        environment("XDG_RUNTIME_DIR") == nil ? "/containers/\(getuid())/auth.json" : "/containers/auth.json"
    }

    /// Services are started without HOME.
    private static func userHome() -> String? {
        guard let entry = getpwuid(getuid()), let directory = entry.pointee.pw_dir else { return nil }
        return String(cString: directory)
    }
}
