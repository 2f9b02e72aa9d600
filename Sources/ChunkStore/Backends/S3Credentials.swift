// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// What proves to an S3 store who asks.
public struct S3Credentials: Sendable, Equatable {
    public let accessKey: String
    public let secretKey: String
    /// Of temporary credentials.
    public let sessionToken: String?

    public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }
}

/// Finds credentials where the AWS tools look: in the environment, then in the shared credentials file.
final class S3CredentialFinder: Sendable {
    private static let maximumFileBytes: UInt64 = 1 << 20

    private enum State {
        case unknown
        case known(S3Credentials?)
    }

    private let environment: [String: String]
    private let state: Lock<State>

    /// - Parameter fixed: used in place of whatever could be found.
    init(fixed: S3Credentials?, environment: [String: String]) {
        self.environment = environment
        state = Lock(fixed.map { .known($0) } ?? .unknown)
        isFixed = fixed != nil
    }

    private let isFixed: Bool

    /// nil when there are none: requests go unsigned then, which public buckets allow.
    func current() -> S3Credentials? {
        state.withLock { state in
            if case .known(let credentials) = state { return credentials }
            let found = find()
            state = .known(found)
            return found
        }
    }

    /// Looks again next time: the file may hold new ones by now.
    func forget() {
        if !isFixed { state.withLock { $0 = .unknown } }
    }

    private func find() -> S3Credentials? {
        if let accessKey = environment["AWS_ACCESS_KEY_ID"], !accessKey.isEmpty,
            let secretKey = environment["AWS_SECRET_ACCESS_KEY"], !secretKey.isEmpty
        {
            let token = environment["AWS_SESSION_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
            return S3Credentials(accessKey: accessKey, secretKey: secretKey, sessionToken: token)
        }
        let values = section(of: "AWS_SHARED_CREDENTIALS_FILE", orInHome: ".aws/credentials", [profile])
        guard let accessKey = values["aws_access_key_id"], let secretKey = values["aws_secret_access_key"]
        else {
            return nil
        }
        return S3Credentials(
            accessKey: accessKey, secretKey: secretKey, sessionToken: values["aws_session_token"])
    }

    private var profile: String { environment["AWS_PROFILE"].flatMap { $0.isEmpty ? nil : $0 } ?? "default" }

    /// The region that the environment or the configuration file names.
    func region() -> String? {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if let region = environment[name], !region.isEmpty { return region }
        }
        let titles = [profile, "profile " + profile]
        return section(of: "AWS_CONFIG_FILE", orInHome: ".aws/config", titles)["region"]
    }

    private func section(of variable: String, orInHome file: String, _ titles: [String]) -> [String: String] {
        let home = environment["HOME"].map { $0 + "/" + file }
        guard let path = environment[variable] ?? home, let opened = try? File(open: path, O_RDONLY),
            let bytes = try? opened.read(count: Int(Self.maximumFileBytes), at: 0)
        else { return [:] }
        return Self.section(titles, of: String(decoding: bytes, as: UTF8.self))
    }

    /// The values of the sections with one of these titles, in the form of INI files.
    static func section(_ titles: [String], of text: String) -> [String: String] {
        var values: [String: String] = [:]
        var isWanted = false
        for line in text.split(whereSeparator: \.isNewline) {
            let line = trimmed(line)
            if line.hasPrefix("["), line.hasSuffix("]") {
                isWanted = titles.contains(trimmed(line.dropFirst().dropLast()))
            } else if isWanted, !line.hasPrefix("#"), !line.hasPrefix(";"),
                let equals = line.firstIndex(of: "=")
            {
                values[trimmed(line[..<equals]).lowercased()] = trimmed(line[line.index(after: equals)...])
            }
        }
        return values
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = text.drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}

/// The variables that this process was started with.
func processEnvironment(_ names: [String]) -> [String: String] {
    var values: [String: String] = [:]
    for name in names { values[name] = getenv(name).map { String(cString: $0) } }
    return values
}
