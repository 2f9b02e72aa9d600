// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials
import Glibc
import HTTP
import TestSupport

/// A token service for a real registry: signs what is asked for with RS256, for users with a password.
final class TokenServer: Sendable {
    struct Grant: Sendable {
        let user: String?
        let method: String
        let scopes: [String]
    }

    private final class State: Sendable {
        let grants = Lock<[Grant]>([])
        let lifetimeSeconds = Lock(300)
    }

    let authority: TestAuthority
    let directory: String
    private let server: ScriptedHTTPServer
    private let state: State

    var realm: String { "http://\(server.host)/token" }
    var grants: [Grant] { state.grants.withLock { $0 } }
    /// Seconds that tokens are good for; negative ones are dead when they arrive.
    func setLifetime(_ seconds: Int) { state.lifetimeSeconds.withLock { $0 = seconds } }

    /// - Parameter pullers: whether anyone may pull without a password.
    init(user: String, password: String, refreshToken: String, anyoneMayPull: Bool = false) throws {
        directory = try makeTestDirectory("tokens")
        let authority = try TestAuthority(in: directory)
        self.authority = authority
        let state = State()
        self.state = state
        let basic = "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
        server = try ScriptedHTTPServer { request in
            var scopes = request.query("scope").compactMap { percentDecoded($0) }
            var name: String?
            if request.method == "POST" {
                var form: [String: String] = [:]
                for pair in String(decoding: request.body, as: UTF8.self).split(separator: "&") {
                    let parts = pair.split(separator: "=", maxSplits: 1)
                    form[String(parts[0])] = percentDecoded(parts[1])
                }
                if form["grant_type"] != "refresh_token" || form["refresh_token"] != refreshToken {
                    return .init(401, text: #"{"details":"bad refresh token"}"#)
                }
                name = user
                scopes = (form["scope"] ?? "").split(separator: " ").map(String.init)
            } else if let header = request.headers["authorization"] {
                if header != basic {
                    return .init(401, text: #"{"details":"incorrect username or password"}"#)
                }
                name = user
            }
            state.grants.withLock { $0.append(Grant(user: name, method: request.method, scopes: scopes)) }
            let allowed = name != nil ? scopes : anyoneMayPull ? scopes.filter { $0.hasSuffix(":pull") } : []
            let lifetime = state.lifetimeSeconds.withLock { $0 }
            guard let token = try? Self.sign(allowed, name ?? "", lifetime, authority) else { return nil }
            let key = request.method == "POST" ? "access_token" : "token"
            return .init(200, text: #"{"\#(key)":"\#(token)","expires_in":\#(max(lifetime, 60))}"#)
        }
    }

    deinit { try? Directories.removeTree(directory) }

    private static func sign(
        _ scopes: [String], _ user: String, _ lifetimeSeconds: Int, _ authority: TestAuthority
    ) throws -> String {
        let certificate = try output([
            "sh", "-euc", "openssl x509 -in \"$0\" -outform DER | openssl base64 -A", authority.certificate,
        ])
        let access = scopes.compactMap { scope -> String? in
            let parts = scope.split(separator: ":")
            guard parts.count == 3 else { return nil }
            let actions = parts[2].split(separator: ",").map { "\"\($0)\"" }.joined(separator: ",")
            return #"{"type":"\#(parts[0])","name":"\#(parts[1])","actions":[\#(actions)]}"#
        }
        let now = Int(time(nil))
        let payload = """
            {"iss":"test-issuer","sub":"\(user)","aud":"test-service","iat":\(now),"nbf":\(now - 600),\
            "exp":\(now + lifetimeSeconds),"jti":"\(UInt64.random(in: 0 ... .max))",\
            "access":[\(access.joined(separator: ","))]}
            """
        let header = #"{"typ":"JWT","alg":"RS256","x5c":["\#(certificate)"]}"#
        let text =
            urlSafe(Data(header.utf8).base64EncodedString()) + "."
            + urlSafe(Data(payload.utf8).base64EncodedString())
        let script = "printf %s \"$1\" | openssl dgst -sha256 -sign \"$0\" | openssl base64 -A"
        return text + "." + urlSafe(try output(["sh", "-euc", script, authority.key, text]))
    }

    private static func urlSafe(_ base64: String) -> String {
        String(base64.compactMap { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : $0 })
    }
}
